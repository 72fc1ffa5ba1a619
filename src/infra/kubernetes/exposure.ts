import { type OptionProblem, problemOf } from '../../pgbouncer/catalogue.ts';
import type { OptionEntry } from '../../pgbouncer/options.ts';

export type Annotations = Readonly<Record<string, string>>;
/** How clients outside of the cluster reach the application: not at all, at a port of the nodes, through a load balancer. */
export type Exposure =
  | { readonly kind: 'inside' }
  | { readonly kind: 'nodes' }
  | { readonly kind: 'balancer'; readonly annotations: Annotations };

const exposeExternal: OptionEntry = {
  key: 'expose-external',
  kind: { type: 'choice', among: ['false', 'nodeport', 'loadbalancer'] },
  default: 'false',
  own: true,
  help: 'how clients outside of the cluster reach the application: not at all, at a port of the nodes, through a load balancer',
};
const extraAnnotations: OptionEntry = {
  key: 'loadbalancer-extra-annotations',
  kind: { type: 'text', pattern: /^\s*\{.*\}\s*$/s, what: 'a JSON object of texts' },
  default: '{}',
  own: true,
  help: 'annotations for the load balancer, as its provider asks for them',
};

/** Options that only an application on Kubernetes has: of its Service, and of nothing that PgBouncer reads. */
export const exposureOptions: readonly OptionEntry[] = [exposeExternal, extraAnnotations];

export type ReadExposure =
  | { readonly ok: true; readonly exposure: Exposure }
  | { readonly ok: false; readonly problems: readonly OptionProblem[] };

/** From all options of the application; absent ones are as their default. */
export const exposureIn = (given: Readonly<Record<string, unknown>>): ReadExposure => {
  const exposed = given[exposeExternal.key] ?? exposeExternal.default;
  const text = given[extraAnnotations.key] ?? extraAnnotations.default;
  const annotations = annotationsIn(text);
  const problems = [
    ...problem(exposeExternal, problemOf(exposeExternal, exposed)),
    ...problem(extraAnnotations, annotations === null ? faultOf(text) : null),
  ];
  if (problems.length > 0 || annotations === null) return { ok: false, problems };
  return { ok: true, exposure: exposureOf(exposed, annotations) };
};

const exposureOf = (exposed: unknown, annotations: Annotations): Exposure => {
  if (exposed === 'loadbalancer') return { kind: 'balancer', annotations };
  return { kind: exposed === 'nodeport' ? 'nodes' : 'inside' };
};

const annotationsIn = (text: unknown): Annotations | null => {
  if (typeof text !== 'string') return null;
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  return isTexts(read) ? read : null;
};

const isTexts = (read: unknown): read is Annotations =>
  typeof read === 'object' &&
  read !== null &&
  !Array.isArray(read) &&
  Object.values(read).every((value) => typeof value === 'string');

/** Whatever has the look of it and is none all the same. */
const faultOf = (text: unknown): string =>
  problemOf(extraAnnotations, text) ?? `${extraAnnotations.key} must be a JSON object of texts, as {"key": "text"}`;

const problem = ({ key }: OptionEntry, reason: string | null): readonly OptionProblem[] =>
  reason === null ? [] : [{ path: `options.${key}`, reason }];
