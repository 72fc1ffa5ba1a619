/** Layers and the plan that they make, as far as the small Pebble understands them; what it does not it refuses. */
import { parse } from 'yaml';
import { z } from 'zod';

const action = z.enum(['restart', 'shutdown', 'ignore', 'success-shutdown', 'failure-shutdown']);
const service = z.strictObject({
  override: z.enum(['merge', 'replace']),
  summary: z.string().optional(),
  description: z.string().optional(),
  startup: z.enum(['enabled', 'disabled']).optional(),
  command: z.string().optional(),
  after: z.array(z.string()).optional(),
  before: z.array(z.string()).optional(),
  requires: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.coerce.string()).optional(),
  user: z.string().optional(),
  group: z.string().optional(),
  'working-dir': z.string().optional(),
  'on-success': action.optional(),
  'on-failure': action.optional(),
  'on-check-failure': z.record(z.string(), action).optional(),
  'backoff-delay': z.string().optional(),
  'backoff-factor': z.number().optional(),
  'backoff-limit': z.string().optional(),
  'kill-delay': z.string().optional(),
});
const check = z.strictObject({
  override: z.enum(['merge', 'replace']),
  level: z.enum(['alive', 'ready']).optional(),
  startup: z.enum(['enabled', 'disabled']).optional(),
  period: z.string().optional(),
  timeout: z.string().optional(),
  threshold: z.number().optional(),
  tcp: z.strictObject({ port: z.number(), host: z.string().optional() }),
});
const logTarget = z.strictObject({
  override: z.enum(['merge', 'replace']),
  type: z.literal('loki').optional(),
  location: z.string().optional(),
  services: z.array(z.string()).optional(),
  labels: z.record(z.string().regex(/^(?!pebble_)/), z.string()).optional(),
});
const layer = z.strictObject({
  summary: z.string().optional(),
  description: z.string().optional(),
  services: z.record(z.string(), service).default({}),
  checks: z.record(z.string(), check).default({}),
  'log-targets': z.record(z.string(), logTarget).default({}),
});
export type Layer = z.infer<typeof layer>;
export type ServiceConfig = z.infer<typeof service>;
export type CheckConfig = z.infer<typeof check>;
export type LogTargetConfig = z.infer<typeof logTarget>;

/** Throws a sentence. */
export const parseLayer = (label: string, text: string): Layer => {
  const said = layer.safeParse(parse(text) ?? {});
  if (said.success) return said.data;
  const [issue] = said.error.issues;
  const path = issue?.path.join('.') ?? '';
  if (issue?.path.at(-1) === 'override' && issue.path.length === 3)
    throw new Error(`layer "${label}" must define "override" for service "${String(issue.path[1])}"`);
  throw new Error(`cannot parse layer "${label}": ${path}: ${issue?.message ?? 'no layer'}`);
};

/** `over` on top of `under`, item by item as each says. */
export const merged = (under: Layer, over: Layer): Layer => ({
  services: mergedItems(under.services, over.services),
  checks: mergedItems(under.checks, over.checks),
  'log-targets': mergedItems(under['log-targets'], over['log-targets']),
});

/** Of layers, the lowest first. Throws a sentence when they make none. */
export const planOf = (layers: readonly Layer[]): Layer => {
  const plan = layers.reduce(merged, emptyLayer);
  for (const [name, { command }] of Object.entries(plan.services))
    if (command === undefined) throw new Error(`plan must define "command" for service "${name}"`);
  for (const [name, { location = '', services = [] }] of Object.entries(plan['log-targets'])) {
    if (location === '') throw new Error(`plan must define "location" for log target "${name}"`);
    const unknown = services.map((one) => one.replace(/^-/, '')).find((one) => !isKnown(one, plan.services));
    if (unknown !== undefined) throw new Error(`log target "${name}" specifies unknown service "${unknown}"`);
  }
  return plan;
};

const isKnown = (service: string, services: Layer['services']): boolean =>
  service === 'all' || services[service] !== undefined;

export const emptyLayer: Layer = { services: {}, checks: {}, 'log-targets': {} };

const mergedItems = <T extends { readonly override: 'merge' | 'replace' }>(
  under: Readonly<Record<string, T>>,
  over: Readonly<Record<string, T>>,
): Record<string, T> => {
  const result = { ...under };
  for (const [name, item] of Object.entries(over)) {
    const before = result[name];
    result[name] = item.override === 'replace' || before === undefined ? item : mergedFields(before, item);
  }
  return result;
};

/** Maps by key, lists one after the other, anything else replaced. */
const mergedFields = <T extends object>(under: T, over: T): T =>
  Object.assign(
    { ...under },
    ...Object.entries(over).map(([key, value]: [string, unknown]) => {
      const before: unknown = Reflect.get(under, key);
      if (Array.isArray(value) && Array.isArray(before)) return { [key]: [...before, ...value] };
      if (isMap(value) && isMap(before)) return { [key]: { ...before, ...value } };
      return { [key]: value };
    }),
  );

const isMap = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Words of a command line, without a shell: quotes and backslashes as in one, and no brackets around default arguments. */
export const wordsOf = (command: string): readonly string[] =>
  [...command.matchAll(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g)]
    .map(([word]) =>
      word.replaceAll(
        /\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"/g,
        (_, char?: string, single?: string, double?: string) =>
          char ?? single ?? double?.replaceAll(/\\(["\\])/g, '$1') ?? '',
      ),
    )
    .filter((word) => word !== '[' && word !== ']');

/** Milliseconds of Go's notation: `500ms`, `1m30s`. Throws a sentence. */
export const durationMs = (text: string): number => {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text)
    throw new Error(`invalid duration "${text}"`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0), 0);
};
const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 };
