import { z } from 'zod';
import { poolModes } from '../actors/model/intent.ts';
import { Secret } from '../actors/model/secret.ts';

/** Bounds that keep a request small. What a value means, and whether it may be, is decided where changes are made. */
const name = z.string().min(1, 'is empty').max(200, 'is longer than 200 characters');
const line = z
  .string()
  .min(1, 'is empty')
  .max(500, 'is longer than 500 characters')
  .regex(/^[^\p{Cc}\u2028\u2029]*$/u, 'holds control characters');

const about = {
  author: line.optional().meta({ description: 'who asks, for people; "api" when absent' }),
  reason: line.optional().meta({ description: 'why, for people' }),
  expected: z
    .int()
    .min(0, 'must be 0 or more')
    .optional()
    .meta({ description: 'version of the intent that was looked at: refused with "moved" when it is another by now' }),
};

/** The same for a request without a body. */
export const aboutQuerySchema = z.strictObject({
  author: line.optional(),
  reason: line.optional(),
  expected: z
    .string()
    .regex(/^(0|[1-9]\d{0,14})$/, 'must be a whole number')
    .transform(Number)
    .optional(),
});

const optionValue = z.union(
  [z.string().max(4096), z.number(), z.boolean()],
  'must be a text of up to 4096 characters, a number, true or false',
);
const optionChange = z.union(
  [z.string().max(4096), z.number(), z.boolean(), z.null()],
  'must be a text of up to 4096 characters, a number, true, false, or null to reset it',
);

const isFew = (record: object): boolean => Object.keys(record).length <= 500;

export const optionsChangeSchema = z.strictObject({
  options: z
    .record(name, optionChange)
    .refine((options) => Object.keys(options).length > 0, 'names no option')
    .refine(isFew, 'names more than 500 options')
    .meta({ description: 'null resets an option to its default' }),
  ...about,
});

const backendFields = {
  endpoints: z
    .array(z.string().max(300, 'is longer than 300 characters'))
    .max(32, 'has more than 32 entries')
    .meta({ description: 'host:port of each server; the primary is found among them' }),
  username: name,
  password: z
    .string()
    .min(1, 'is empty')
    .max(1000, 'is longer than 1000 characters')
    .transform((text) => new Secret(text))
    .meta({ writeOnly: true }),
  maintenanceDatabase: name.optional().meta({ description: 'absent: as it was, or postgres' }),
  acceptCluster: name.optional().meta({
    description: 'system identifier of a cluster that is to take the place of the one served so far',
  }),
};
export const backendSchema = z.strictObject({ name, ...backendFields, ...about });

const seconds = z.int('must be whole seconds, or null').nullable().optional();

/** Of a client that is there the settings change as given: what is absent stays, null takes back what was set. */
const clientFields = {
  database: name,
  backend: name.optional().meta({ description: 'may be left out when there is only one' }),
  extraUserRoles: z.array(name).max(32, 'has more than 32 entries').optional(),
  poolMode: z
    .enum(poolModes, `must be ${poolModes.join(', ')}, or null`)
    .nullable()
    .optional()
    .meta({ description: 'of its login; null: as the option pool_mode says' }),
  budget: z.int('must be a whole number, or null').nullable().optional().meta({
    description: 'server connections of its login, of the whole fleet together; null or 0: no limit of its own',
  }),
  timeouts: z
    .strictObject({
      queryTimeout: seconds,
      transactionTimeout: seconds,
      idleTransactionTimeout: seconds,
      clientIdleTimeout: seconds,
      queryWaitTimeout: seconds,
    })
    .optional()
    .meta({ description: 'seconds; 0: never; null: as the option of the same name says' }),
};
export const clientSchema = z.strictObject({ name, ...clientFields, ...about });

/** A fleet file, its passwords in it. */
export const fleetSchema = z.strictObject({
  application: name.optional().meta({ description: 'refused by any other; absent: any' }),
  options: z.record(name, optionValue).refine(isFew, 'names more than 500 options').default({}),
  backends: z.record(name, z.strictObject(backendFields)).refine(isFew, 'names more than 500 backends').default({}),
  clients: z.record(name, z.strictObject(clientFields)).refine(isFew, 'names more than 500 clients').default({}),
  prune: z
    .boolean()
    .default(false)
    .meta({ description: 'remove relations that are not named, and reset options and settings that are not' }),
  ...about,
});

const settingText = z.string().nullable();
const relationDifference = z.object({
  name: z.string(),
  what: z.enum(['added', 'changed', 'removed']),
  fields: z
    .array(z.object({ field: z.string(), before: settingText, after: settingText }))
    .readonly()
    .meta({ description: 'null: it has none; both null: a secret, which is not shown' }),
});
const optionText = z.union([z.string(), z.number(), z.boolean()]).nullable();
export const differenceSchema = z.object({
  options: z
    .array(z.object({ key: z.string(), before: optionText, after: optionText }))
    .readonly()
    .meta({ description: 'null: not set, so the default' }),
  backends: z.array(relationDifference).readonly(),
  clients: z.array(relationDifference).readonly(),
  departures: z.array(z.string()).readonly().meta({ description: 'units that are asked to leave' }),
});

/** What a fleet file would change, and what it leaves alone because it does not name it. */
export const comparisonSchema = z.object({
  version: z.int().meta({ description: 'of the intent it was compared with' }),
  difference: differenceSchema,
  kept: z.array(z.string()).readonly().meta({ description: 'paths in the words of the file' }),
});

/** `unchanged`: it was so already. `version` is that of the intent; the generation that serves it follows. */
export const changeAnswerSchema = z.object({ outcome: z.enum(['accepted', 'unchanged']), version: z.int() });

export const optionsViewSchema = z.object({
  version: z.int().meta({ description: 'of the intent; 0 before anybody asked for anything' }),
  options: z.array(
    z.object({
      key: z.string(),
      value: z.union([z.string(), z.number(), z.boolean()]),
      default: z.union([z.string(), z.number(), z.boolean()]),
      set: z.boolean().meta({ description: 'the operator set it' }),
      help: z.string(),
    }),
  ),
});

export const credentialsSchema = z.object({
  client: z.string(),
  database: z.string(),
  username: z.string(),
  password: z.string(),
  endpoints: z.array(z.string()).meta({ description: 'host:port of each live unit' }),
  readOnlyEndpoints: z.array(z.string()).meta({ description: 'the same units; empty while reads lead nowhere' }),
  readOnlyDatabase: z
    .string()
    .nullable()
    .default(null)
    .meta({ description: 'name of the database at the read-only endpoints' }),
  tlsAuthorities: z
    .string()
    .nullable()
    .default(null)
    .meta({ description: 'whom to trust when connecting with TLS, in PEM; null while not all units serve it' }),
});
