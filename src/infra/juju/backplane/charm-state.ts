/**
 * What a unit keeps in charm state: its memory, the relations there are, and what it did that must not be done again for nothing.
 * Juju keeps it for the unit's life, through new pods and refreshes. What cannot be read of it is a loss, never a failed hook.
 */
import { z } from 'zod';
import type { Digest, Epoch, Generation } from '../../../actors/model/ids.ts';
import { canonical } from '../../files/canonical.ts';
import type { Bag } from '../tools.ts';
import { jsonIn } from '../wire/json.ts';

/** The generation that was verified here, by what tells it from all others: the spec itself lies in the peer relation. */
export interface VerifiedMark {
  readonly generation: Generation;
  readonly epoch: Epoch;
  readonly digest: Digest;
}

export interface CharmState {
  readonly memory: {
    readonly verified: VerifiedMark | null;
    readonly waits: readonly { readonly id: string; readonly sinceWallMs: number }[];
  };
  /** By endpoint, then by relation id: the remote application. Null: they must be asked for. */
  readonly relations: Relations | null;
  /** By relation id: the remote units, of those that were asked for. Each hook that brings or takes one is a reason to ask again. */
  readonly members: Members;
  /** Juju has told this unit of every relation there was when it came: before that, one that it does not know may well be there. */
  readonly knowsAll: boolean;
  /** This unit goes: it has heard so about one of its relations. A later unit of its name begins without charm state. */
  readonly departing: boolean;
  /** Which epoch this unit accepted last. */
  readonly epoch: number;
  /** This unit has asked for a certificate, and there is a secret of it. */
  readonly hasCertificate: boolean;
  /** Names the Service as it was applied last; null when it was not. */
  readonly service: string | null;
  /** What those who watch over this application told, and what was done for them. */
  readonly watchers: WatchersState;
  /** As it was set last; null when Juju itself may have set one since. */
  readonly status: { readonly word: string; readonly message: string } | null;
}
export interface WatchersState {
  /** URLs to which logs go. */
  readonly logs: readonly string[];
  /** The workload was told to send logs, and was not told to stop since. */
  readonly forwards: boolean;
  /** Of metrics: `started`, and not ended since; `missing`: the image has none. */
  readonly exporters: 'none' | 'started' | 'missing';
  /** URL to which traces of dispatches go. */
  readonly traces: string | null;
  /** Names what was written into bags, by endpoint, relation and scope. */
  readonly told: Readonly<Record<string, string>>;
}
export type Relations = Readonly<Record<string, Readonly<Record<string, string>>>>;
export type Members = Readonly<Record<string, readonly string[]>>;

const emptyState: CharmState = {
  memory: { verified: null, waits: [] },
  relations: null,
  members: {},
  knowsAll: false,
  departing: false,
  epoch: 0,
  hasCertificate: false,
  service: null,
  watchers: { logs: [], forwards: false, exporters: 'none', traces: null, told: {} },
  status: null,
};

const count = z.int().nonnegative();
const schemas: { readonly [K in keyof CharmState]: z.ZodType<CharmState[K]> } = {
  memory: z.object({
    verified: z
      .object({
        generation: count.transform((n) => n as Generation),
        epoch: count.transform((n) => n as Epoch),
        digest: z.string().transform((s) => s as Digest),
      })
      .nullable(),
    waits: z.array(z.object({ id: z.string(), sinceWallMs: z.number() })),
  }),
  relations: z.record(z.string(), z.record(z.string().regex(/^\d+$/), z.string())).nullable(),
  members: z.record(z.string().regex(/^\d+$/), z.array(z.string())),
  knowsAll: z.boolean(),
  departing: z.boolean(),
  epoch: count,
  hasCertificate: z.boolean(),
  service: z.string().nullable(),
  watchers: z.object({
    logs: z.array(z.string()),
    forwards: z.boolean(),
    exporters: z.enum(['none', 'started', 'missing']),
    traces: z.string().nullable(),
    told: z.record(z.string(), z.string()),
  }),
  status: z.object({ word: z.string(), message: z.string() }).nullable(),
};
const keys = Object.keys(schemas) as readonly (keyof CharmState)[];

/** `losses`: a sentence for each part that is there and cannot be read. */
export const readState = (stored: Bag): { readonly state: CharmState; readonly losses: readonly string[] } => {
  const losses: string[] = [];
  const part = <K extends keyof CharmState>(key: K): CharmState[K] => {
    const text = stored[key];
    if (text === undefined) return emptyState[key];
    const value = jsonIn(text, schemas[key]);
    if (value !== undefined) return value;
    losses.push(`the part "${key}" of the charm state could not be read, and is begun anew`);
    return emptyState[key];
  };
  const state = Object.fromEntries(keys.map((key) => [key, part(key)])) as unknown as CharmState;
  return { state, losses };
};

/** The keys whose text differs from what is stored. */
export const stateChanges = (stored: Bag, state: CharmState): Bag =>
  Object.fromEntries(
    keys.flatMap((key) => {
      const text = canonical(state[key], neverSecret);
      return text === (stored[key] ?? canonical(emptyState[key], neverSecret)) ? [] : [[key, text]];
    }),
  );

/** The generation that was verified lies elsewhere, and nothing else here is secret. */
const neverSecret = (): never => {
  throw new TypeError('a secret does not go into charm state');
};
