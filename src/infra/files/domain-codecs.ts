/** Schemas of the objects that outlive a process, at the edge where they are read. Unknown fields are ignored: a newer unit may write them. */
import { z } from 'zod';
import { rights } from '../../actors/model/right.ts';
import type { Published, Verdict } from '../../actors/model/fleet-spec.ts';
import type { Digest, Epoch, Generation, Nonce, RelationId, UnitName, WallMs } from '../../actors/model/ids.ts';
import { type BackendIntent, type ClientIntent, clientTimeouts, poolModes } from '../../actors/model/intent.ts';
import { Secret } from '../../actors/model/secret.ts';
import type { Memory, RelationRecord, UnitBag } from '../../actors/model/snapshot.ts';
import { codecOf } from './codec.ts';
import { type IntentHead, intentCodecOf } from './intent-codec.ts';

const count = z.int().nonnegative();
const epoch = count.transform((n) => n as Epoch);
const generation = count.transform((n) => n as Generation);
const relationId = count.transform((n) => n as RelationId);
const nonce = z
  .string()
  .max(64)
  .transform((s) => s as Nonce);
const wall = count.transform((n) => n as WallMs);
const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((s) => s as Digest);
export const unitNameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}\/\d{1,5}$/)
  .transform((s) => s as UnitName);
const text = z.string().max(10_000);
/** A list of certificates. */
const pem = z.string().max(40_000);
const secret = z.instanceof(Secret);
const optionValue = z.union([text, z.number(), z.boolean()]);
const options = z.record(z.string(), optionValue);

const backendIntent: z.ZodType<BackendIntent> = z.object({
  id: relationId,
  endpoints: z.array(text),
  username: text,
  password: secret,
  maintenanceDatabase: text,
  cluster: text.nullable().default(null),
});
// What was written before clients had settings has none.
const poolMode = z.enum(poolModes).nullable().default(null);
const timeouts = z.partialRecord(z.enum(clientTimeouts), count).default({});
const clientIntent: z.ZodType<ClientIntent> = z.object({
  id: relationId,
  database: text,
  backend: text,
  extraUserRoles: z.array(text),
  poolMode,
  budget: count.nullable().default(null),
  timeouts,
});
const intentSchema: z.ZodType<IntentHead> = z.object({
  version: count,
  author: text,
  reason: text,
  at: wall,
  nextRelation: relationId,
  departures: z.array(z.object({ unit: unitNameSchema, nonce, forced: z.boolean() })).default([]),
});

const budgetKind = z.enum(['database', 'login']);
const specSchema = z.object({
  options,
  backends: z.array(z.object({ name: text, systemId: text })).default([]),
  abandoned: z.array(z.object({ backend: text, host: text, port: count })).default([]),
  databases: z.array(
    z.object({
      name: text,
      database: text,
      backend: text,
      host: text,
      port: count,
      maxConnections: count,
      readOnly: z.boolean().default(false),
      lookup: text.exactOptional(),
    }),
  ),
  users: z.array(z.object({ name: text, secret, poolMode, maxConnections: count.default(0), timeouts })),
  slots: z.array(z.object({ unit: unitNameSchema, instances: count })),
  holdings: z
    .array(z.object({ of: budgetKind, name: text, unit: unitNameSchema, granted: count, reserved: count.nullable() }))
    .default([]),
});
const publishedSchema: z.ZodType<Published> = z.object({
  generation,
  epoch,
  digest,
  author: unitNameSchema,
  reason: text,
  at: wall,
  intentVersion: count,
  spec: specSchema,
});

const verdictSchema: z.ZodType<Verdict> = z.object({
  covers: count,
  good: z.object({ generation, intentVersion: count, options }).nullable(),
  refused: z.object({ intentVersion: count, reason: text }).nullable(),
});

const account = z.object({ username: text, password: secret, verifier: secret });
const relationSchema: z.ZodType<RelationRecord> = z.object({
  id: relationId,
  name: text,
  database: text,
  backend: text,
  account,
  adopted: z.array(z.enum(rights)).exactOptional(),
  provisioned: z.boolean(),
  lookup: z.object({ account, ready: z.boolean() }).nullable().exactOptional(),
  databag: z.record(z.string(), z.union([pem, secret])).nullable(),
});

const bagSchema: z.ZodType<UnitBag> = z.object({
  status: z.enum(['active', 'waiting', 'blocked', 'maintenance', 'down', 'unknown']),
  message: text,
  pid: count,
  version: text,
  address: text,
  applied: generation.nullable(),
  refused: z.object({ generation, reason: text }).nullable(),
  instances: z.array(
    z.object({
      id: count,
      pid: count.nullable(),
      state: z.enum(['serving', 'starting', 'stopped', 'failing']),
      version: text.nullable(),
    }),
  ),
  budget: z
    .array(z.object({ of: budgetKind, name: text, given: count, used: count, held: count.nullable() }))
    .default([]),
  tls: z.object({ authorities: pem }).nullable().default(null),
  backends: z
    .array(
      z.object({
        name: text,
        primary: text,
        standbys: z.array(text),
        version: text,
        timeline: count,
        systemId: text,
        clientConnections: count.default(0),
      }),
    )
    .default([]),
  waits: z.array(
    z.object({ id: text, kind: z.enum(['waiting', 'blocked']), message: text, sinceWallMs: z.number(), on: text }),
  ),
  remarks: z.array(z.object({ id: text, message: text, sinceWallMs: z.number() })).default([]),
});

const memorySchema: z.ZodType<Memory> = z.object({
  verified: publishedSchema.nullable(),
  waits: z.array(z.object({ id: text, sinceWallMs: z.number() })),
});

const KiB = 1024;
export const intentCodec = intentCodecOf(
  { head: intentSchema, option: optionValue, backend: backendIntent, client: clientIntent },
  512 * KiB,
);
export const publishedCodec = codecOf(publishedSchema, 1024 * KiB);
export const verdictCodec = codecOf(verdictSchema, 64 * KiB);
export const relationCodec = codecOf(relationSchema, 96 * KiB);
export const bagCodec = codecOf(bagSchema, 64 * KiB);
export const memoryCodec = codecOf(memorySchema, 1200 * KiB);
