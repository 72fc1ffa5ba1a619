import { z } from 'zod';

/**
 * Answers of the API. Their types are those of `actors/model/status.ts` (a test keeps them equal). They are open: a reader ignores
 * fields it does not know, so that a newer unit can be asked by an older command line. Requests are closed.
 */
const instant = z.string().meta({ description: 'ISO 8601' });

const statusWord = z.enum(['active', 'waiting', 'blocked', 'maintenance', 'down', 'unknown']);

const instanceSchema = z.object({
  id: z.int(),
  pid: z.int().nullable(),
  state: z.string(),
  version: z.string().nullable(),
});

const waitSchema = z.object({
  id: z.string().meta({ description: 'stable; docs/waits.md explains each' }),
  kind: z.enum(['waiting', 'blocked']).meta({ description: 'blocked needs a person' }),
  message: z.string(),
  since: instant,
  on: z.string().meta({ description: 'who can end it' }),
});

const budgetSchema = z.object({
  of: z.enum(['database', 'client']),
  name: z.string(),
  given: z.int().meta({ description: 'share; 0: not served yet, because others still hold what it is to be' }),
  used: z.int().meta({ description: 'open server connections, as counted within the last seconds' }),
  held: z
    .int()
    .nullable()
    .meta({ description: 'most that may be open: above the share while some must still close; null: no limit yet' }),
});

export const unitStatusSchema = z.object({
  unit: z.string(),
  number: z.int(),
  address: z.string().meta({ description: 'where clients reach its instances; empty before the first fleet spec' }),
  leader: z.boolean(),
  pid: z.int().nullable(),
  version: z.string().nullable(),
  status: statusWord,
  message: z.string(),
  generation: z.object({
    applied: z.int().nullable(),
    refused: z.object({ generation: z.int(), reason: z.string() }).nullable(),
  }),
  instances: z.array(instanceSchema),
  waits: z.array(waitSchema),
  remarks: z
    .array(z.object({ id: z.string(), message: z.string(), since: instant }))
    .default([])
    .meta({ description: 'what a person should know though the unit serves' }),
  budget: z.array(budgetSchema),
  lastSeenMs: z.number().nullable(),
  leaving: z
    .boolean()
    .default(false)
    .meta({ description: 'the operator asked for its departure, which is not over yet' }),
  weaknesses: z
    .array(z.object({ id: z.string(), sentence: z.string(), mendedIn: z.string() }))
    .meta({ description: 'what the PgBouncer that runs there is known to suffer from, and the version that mends it' }),
});

export const relationStatusSchema = z.object({
  id: z.int(),
  name: z.string(),
  endpoint: z.enum(['backend-database', 'database']),
  database: z.string().nullable().meta({ description: 'what the client asked for; null for a backend' }),
  life: z.enum(['alive', 'dying']),
  state: z.enum(['active', 'waiting', 'blocked']),
  message: z.string(),
  servers: z
    .object({
      primary: z.string(),
      standbys: z.array(z.string()),
      version: z.string(),
      timeline: z.int(),
      systemId: z.string(),
      clientConnections: z
        .int()
        .default(0)
        .meta({ description: 'what its primary takes, less those that are reserved for superusers; 0: not known' }),
    })
    .nullable()
    .default(null)
    .meta({ description: 'of a backend that is ready, as the leader sees it; null for a client' }),
});

export const relationsSchema = z.array(relationStatusSchema);

export const fleetStatusSchema = z.object({
  schemaVersion: z.literal(1),
  application: z.string(),
  answeredBy: z.string().meta({ description: 'the unit that answered' }),
  backplane: z.object({
    kind: z.string(),
    state: z.enum(['connected', 'unreachable', 'recovering', 'reseeding', 'conflicted']),
    message: z.string(),
    since: instant,
  }),
  leader: z.object({ unit: z.string(), epoch: z.int() }).nullable(),
  intent: z.object({ version: z.int(), author: z.string(), at: instant }).nullable(),
  generation: z.object({
    published: z.int().nullable(),
    good: z.int().nullable().meta({ description: 'newest one that every unit it had to reach has verified' }),
    intentVersion: z.int().nullable(),
    refused: z.object({ intentVersion: z.int(), reason: z.string() }).nullable(),
  }),
  units: z.array(unitStatusSchema),
  budgets: z
    .array(budgetSchema.extend({ total: z.int() }))
    .meta({ description: 'of everything that has a limit, with what all units together have of it' }),
  relations: relationsSchema,
});

export const clientConnectionsSchema = z.array(
  z.object({
    instance: z.int(),
    pid: z.int().nullable(),
    user: z.string(),
    database: z.string(),
    address: z.string(),
    port: z.number(),
    state: z.string(),
  }),
);

const traceEntrySchema = z.object({
  seq: z.int(),
  at: instant,
  actor: z.string(),
  message: z.string(),
  tells: z.array(z.string()),
  effects: z.array(z.string()),
});

const poolSchema = z.object({
  instance: z.int(),
  database: z.string(),
  user: z.string(),
  mode: z.string(),
  clients: z.object({ active: z.number(), waiting: z.number() }),
  servers: z.object({ active: z.number(), idle: z.number(), other: z.number() }),
  waitMs: z.number().meta({ description: 'of the client that has waited longest' }),
});

/** A unit in depth. Pools and trace are known to the unit itself: only the one that answers has them. */
export const unitViewSchema = z.object({
  answeredBy: z.string(),
  unit: unitStatusSchema,
  pools: z.array(poolSchema).optional(),
  trace: z.array(traceEntrySchema).optional(),
});

/** `ok` is what the status code says: true for 200, false for 503. */
export const probeSchema = z.object({
  ok: z.boolean(),
  unit: z.string(),
  status: statusWord,
  reason: z.string(),
});
