import type { DatabaseSpec, UserSpec } from '../../src/actors/model/fleet-spec.ts';
import type { Options } from '../../src/actors/model/intent.ts';
import type { Inspection, Rendered } from '../../src/actors/model/workload.ts';
import { completeOptions } from '../../src/pgbouncer/catalogue.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { specOf, unit } from '../support/builders.ts';

export interface Wanted {
  readonly port: number;
  readonly canary: string;
  readonly options?: Options;
  readonly databases?: readonly DatabaseSpec[];
  readonly users?: readonly UserSpec[];
}

/** The files of a generation for the unit that was inspected, as its actor would render them. */
export const renderedFor = ({ binary, layout }: Inspection, wanted: Wanted): Rendered => {
  if (binary.kind !== 'found') throw new Error(binary.reason);
  const { port, canary, options, databases = [], users = [] } = wanted;
  const slots = [{ unit: unit(0), instances: layout.instances.length }];
  const spec = specOf({ options: completeOptions({ ...options, listen_port: port }), databases, users, slots });
  return render(spec, unit(0), layout, binary.version, canary);
};
