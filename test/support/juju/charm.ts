/** A charm as Juju knows it before it runs: what its directory says about itself. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { JujuTools } from '../../../src/infra/juju/tools.ts';
import type { RunTool } from '../../../src/infra/juju/tool-process.ts';
import type { Environment } from '../../../src/infra/juju/environment.ts';

export type Role = 'provides' | 'requires' | 'peers';
export interface CharmEndpoint {
  readonly role: Role;
  readonly interface: string;
  readonly limit: number | null;
}
export type OptionValue = string | number | boolean;
export interface CharmOption {
  readonly type: 'string' | 'int' | 'float' | 'boolean' | 'secret';
  readonly default: OptionValue | null;
}

/** What a scripted charm does for one hook: throws where a process would exit with 1. */
export type Script = (hook: {
  readonly environment: Environment;
  readonly tools: JujuTools;
  readonly run: RunTool;
}) => Promise<void>;

export interface Charm {
  readonly name: string;
  readonly endpoints: ReadonlyMap<string, CharmEndpoint>;
  readonly containers: readonly string[];
  /** By name: filesystem or block. */
  readonly storages: ReadonlyMap<string, 'filesystem' | 'block'>;
  /** The oldest Juju it runs on; null: any. */
  readonly oldestJuju: string | null;
  readonly options: ReadonlyMap<string, CharmOption>;
  readonly actions: ReadonlyMap<string, Readonly<Record<string, ActionParameter>>>;
  /** A directory with `dispatch` in it, or a function of the test. */
  readonly body: { readonly directory: string } | { readonly script: Script };
}
interface ActionParameter {
  readonly type?: string | undefined;
  readonly default?: unknown;
}

/** Refused where Juju would not have let it happen. */
export class ImpossibleInJuju extends Error {
  override readonly name = 'ImpossibleInJuju';
}

/** From a directory as it is unpacked: metadata.yaml, config.yaml and actions.yaml, and an executable dispatch. */
export const charmIn = (directory: string): Charm => {
  const read = (name: string): unknown => {
    const path = join(directory, name);
    return existsSync(path) ? parse(readFileSync(path, 'utf8')) : {};
  };
  if (!existsSync(join(directory, 'metadata.yaml')))
    throw new ImpossibleInJuju(`there is no metadata.yaml in ${directory}: charm missing from disk`);
  try {
    accessSync(join(directory, 'dispatch'), constants.X_OK);
  } catch (cause) {
    throw new ImpossibleInJuju(`there is no executable dispatch in ${directory}`, { cause });
  }
  return charmOf(read('metadata.yaml'), read('config.yaml'), read('actions.yaml'), { directory });
};

/** One that the test plays itself. `metadata` as in metadata.yaml. */
export const scriptedCharm = (metadata: z.input<typeof metadataSchema>, script: Script = async () => {}): Charm =>
  charmOf(metadata, {}, {}, { script });

const charmOf = (metadata: unknown, config: unknown, actions: unknown, body: Charm['body']): Charm => {
  const { name, provides, requires, peers, containers, storage, assumes } = metadataSchema.parse(metadata);
  const endpoints = new Map<string, CharmEndpoint>();
  for (const [role, declared] of [
    ['provides', provides],
    ['requires', requires],
    ['peers', peers],
  ] as const) {
    for (const [endpoint, { interface: spoken, limit }] of Object.entries(declared ?? {})) {
      if (endpoints.has(endpoint)) throw new ImpossibleInJuju(`two endpoints of ${name} are called ${endpoint}`);
      endpoints.set(endpoint, { role, interface: spoken, limit: limit ?? null });
    }
  }
  return {
    name,
    endpoints,
    containers: Object.keys(containers ?? {}),
    storages: new Map(Object.entries(storage ?? {}).map(([each, { type }]) => [each, type])),
    oldestJuju: assumes?.flatMap((assumed) => /^juju >= (\S+)$/.exec(String(assumed))?.[1] ?? [])[0] ?? null,
    options: new Map(
      Object.entries(configSchema.parse(config ?? {}).options ?? {}).map(([option, { type, default: value }]) => [
        option,
        { type, default: value ?? null },
      ]),
    ),
    actions: new Map(
      Object.entries(actionsSchema.parse(actions ?? {})).map(([action, declared]) => [action, declared?.params ?? {}]),
    ),
    body,
  };
};

const endpointsSchema = z
  .record(z.string(), z.looseObject({ interface: z.string(), limit: z.int().nullish() }))
  .nullish();
const metadataSchema = z.looseObject({
  name: z.string(),
  provides: endpointsSchema,
  requires: endpointsSchema,
  peers: endpointsSchema,
  containers: z.record(z.string(), z.unknown()).nullish(),
  storage: z.record(z.string(), z.looseObject({ type: z.enum(['filesystem', 'block']) })).nullish(),
  assumes: z.array(z.unknown()).nullish(),
});
const configSchema = z.looseObject({
  options: z
    .record(
      z.string(),
      z.looseObject({
        type: z.enum(['string', 'int', 'float', 'boolean', 'secret']),
        default: z.union([z.string(), z.number(), z.boolean()]).nullish(),
      }),
    )
    .nullish(),
});
const actionsSchema = z.record(
  z.string(),
  z
    .looseObject({
      params: z
        .record(z.string(), z.looseObject({ type: z.string().optional(), default: z.unknown().optional() }))
        .nullish(),
    })
    .nullable(),
);
