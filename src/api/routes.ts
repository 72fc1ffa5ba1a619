import { z } from 'zod';
import {
  backendSchema,
  changeAnswerSchema,
  clientSchema,
  comparisonSchema,
  credentialsSchema,
  fleetSchema,
  optionsChangeSchema,
  optionsViewSchema,
} from './change.ts';
import type { ErrorCode } from './errors.ts';
import { statusEvent } from './events.ts';
import { probePaths } from './probe-paths.ts';
import type { Scope } from './scope.ts';
import { clientConnectionsSchema, fleetStatusSchema, probeSchema, relationsSchema, unitViewSchema } from './status.ts';

export interface Route {
  readonly method: 'get' | 'patch' | 'post' | 'delete';
  /** Parameters in braces. */
  readonly path: string;
  readonly summary: string;
  /** What a token must have to ask over TCP; null: none is needed. */
  readonly scope: Scope | null;
  /** The status code alone is the answer, 200 or 503, to GET, HEAD and OPTIONS alike. */
  readonly probe?: true;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  readonly answer: { readonly media: string; readonly schema: z.ZodType };
  /** Beside those that any request can earn. */
  readonly errors: readonly ErrorCode[];
}

const json = <S extends z.ZodType>(schema: S) => ({ media: 'application/json', schema }) as const;
const probe = { method: 'get', scope: null, probe: true, answer: json(probeSchema), errors: [] } as const;
const changeErrors = ['invalid-input', 'moved', 'refused', 'unavailable'] as const;
const bodyErrors = ['too-large', 'unsupported-media-type'] as const;

const aboutQuery = {
  author: 'who asks, for people; "api" when absent',
  reason: 'why, for people',
  expected: 'version of the intent that was looked at',
} as const;

/** Everything the API offers, by operation: the server serves these, the document lists these. */
export const routes = {
  health: { ...probe, path: probePaths.health, summary: 'Do PgBouncers of this unit serve?' },
  liveness: { ...probe, path: probePaths.liveness, summary: 'Does this coordinator answer?' },
  readiness: { ...probe, path: probePaths.readiness, summary: 'May a load balancer send clients to this unit?' },
  leader: { ...probe, path: probePaths.leader, summary: 'Does this unit lead?' },
  metrics: {
    method: 'get',
    path: '/metrics',
    scope: 'read',
    summary: 'What this unit knows, for Prometheus',
    answer: { media: 'text/plain', schema: z.string() },
    errors: [],
  },
  openApi: {
    method: 'get',
    path: '/openapi.json',
    scope: 'read',
    summary: 'This document',
    answer: json(z.record(z.string(), z.unknown())),
    errors: [],
  },
  status: {
    method: 'get',
    path: '/v1/status',
    scope: 'read',
    summary: 'The fleet as this unit sees it',
    answer: json(fleetStatusSchema),
    errors: [],
  },
  options: {
    method: 'get',
    path: '/v1/config',
    scope: 'read',
    summary: 'The options in force, with their defaults',
    answer: json(optionsViewSchema),
    errors: ['not-yet'],
  },
  changeOptions: {
    method: 'patch',
    path: '/v1/config',
    scope: 'operate',
    summary: 'Sets options, or resets them with null',
    body: optionsChangeSchema,
    answer: json(changeAnswerSchema),
    errors: [...changeErrors, ...bodyErrors],
  },
  relations: {
    method: 'get',
    path: '/v1/relations',
    scope: 'read',
    summary: 'Backends and clients',
    answer: json(relationsSchema),
    errors: [],
  },
  addBackend: {
    method: 'post',
    path: '/v1/relations/backends',
    scope: 'operate',
    summary: 'Integrates a PostgreSQL cluster, or changes how to reach it',
    body: backendSchema,
    answer: json(changeAnswerSchema),
    errors: [...changeErrors, ...bodyErrors],
  },
  addClient: {
    method: 'post',
    path: '/v1/relations/clients',
    scope: 'operate',
    summary: 'Integrates a client: a database and a login for it',
    body: clientSchema,
    answer: json(changeAnswerSchema),
    errors: [...changeErrors, ...bodyErrors],
  },
  compareFleet: {
    method: 'post',
    scope: 'operate',
    path: '/v1/fleet/difference',
    summary: 'What a fleet file would change; nothing is changed',
    body: fleetSchema,
    answer: json(comparisonSchema),
    errors: ['invalid-input', 'refused', 'unavailable', ...bodyErrors],
  },
  applyFleet: {
    method: 'post',
    scope: 'operate',
    path: '/v1/fleet',
    summary: 'Applies a fleet file: options, backends and clients at once, all or nothing',
    body: fleetSchema,
    answer: json(changeAnswerSchema),
    errors: [...changeErrors, ...bodyErrors],
  },
  removeRelation: {
    method: 'delete',
    path: '/v1/relations/{name}',
    scope: 'operate',
    summary: 'Removes a relation; of a client the login goes and the database stays',
    query: aboutQuery,
    answer: json(changeAnswerSchema),
    errors: ['unknown-relation', 'moved', 'refused', 'unavailable'],
  },
  credentials: {
    method: 'get',
    path: '/v1/relations/{name}/credentials',
    scope: 'secrets',
    summary: 'What a client is given, password included',
    answer: json(credentialsSchema),
    errors: ['unknown-client', 'not-yet'],
  },
  unit: {
    method: 'get',
    path: '/v1/units/{number}',
    scope: 'read',
    summary: 'One unit in depth',
    query: {
      trace: 'with its last decisions; only the unit that answers has them',
      pools: 'with the pools of its instances, as their consoles show them; only the unit that answers has them',
    },
    answer: json(unitViewSchema),
    errors: ['invalid-input', 'unknown-unit', 'other-unit', 'unavailable'],
  },
  removeUnit: {
    method: 'delete',
    path: '/v1/units/{number}',
    scope: 'operate',
    summary:
      'Has a unit drained, stopped and taken off the roster; its share of the connections is free when it is gone',
    query: { ...aboutQuery, force: 'true: also when it is silent, or the last one that serves' },
    answer: json(changeAnswerSchema),
    errors: ['invalid-input', 'unknown-unit', 'moved', 'refused', 'unavailable'],
  },
  clients: {
    method: 'get',
    path: '/v1/clients',
    scope: 'read',
    summary: 'Who is connected to the instances of this unit',
    answer: json(clientConnectionsSchema),
    errors: ['unavailable'],
  },
  events: {
    method: 'get',
    path: '/v1/events',
    scope: 'read',
    summary: `Server-sent events: the status at once and after each change, as \`${statusEvent}\``,
    answer: { media: 'text/event-stream', schema: z.string() },
    errors: ['too-many-watchers'],
  },
} as const satisfies Readonly<Record<string, Route>>;

export type Operation = keyof typeof routes;
export const operations: readonly (readonly [Operation, Route])[] = Object.entries<Route>(routes).flatMap(
  ([operation, route]) => (isOperation(operation) ? [[operation, route] as const] : []),
);

/** The path of a route with its parameters filled in. */
export const pathOf = (operation: Operation, parameters: Readonly<Record<string, string | number>> = {}): string =>
  routes[operation].path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parameters[name] ?? ''));

/** Methods that a path has; empty for a path that is not ours. */
export const methodsAt = (path: string): readonly string[] => [
  ...new Set(
    operations.flatMap(([, route]) => {
      if (!patternOf(route.path).test(path)) return [];
      if (route.method !== 'get') return [route.method.toUpperCase()];
      if (isStream(route)) return ['GET'];
      return route.probe ? ['GET', 'HEAD', 'OPTIONS'] : ['GET', 'HEAD'];
    }),
  ),
];

export const isStream = ({ answer }: Route): boolean => answer.media === 'text/event-stream';

const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);

function isOperation(name: string): name is Operation {
  return Object.hasOwn(routes, name);
}
