import { randomUUID } from 'node:crypto';
import type { UnitState } from '../actors/unit/decide.ts';
import { fleetStatusOf, type Viewpoint } from '../actors/unit/fleet-status.ts';
import type { ChangeOutcome, Compared } from '../actors/model/change.ts';
import { readOnlyNameOf } from '../actors/model/fleet-spec.ts';
import { Secret } from '../actors/model/secret.ts';
import type { RelationRecord } from '../actors/model/snapshot.ts';
import type { ClientConnection, PoolStatus } from '../actors/model/status.ts';
import type { Callers } from '../actors/ports/callers.ts';
import type { Clock } from '../actors/ports/clock.ts';
import type { CredentialsAnswer, Fleet, NotYet } from '../actors/ports/fleet.ts';
import type { Workload } from '../actors/ports/workload.ts';
import type { ConfigMessage } from '../actors/protocol.ts';
import type { Running } from '../actors/kit/on-nact.ts';
import type { Trace } from '../actors/kit/trace.ts';
import { optionsView } from '../pgbouncer/catalogue.ts';
import { poolsIn } from '../pgbouncer/show.ts';

/** Those who asked over the API, by request: answered by `config`, in their process. */
export const createCallers = (): Callers & { expect(request: string): Promise<ChangeOutcome | Compared> } => {
  const waiting = new Map<string, (outcome: ChangeOutcome | Compared) => void>();
  return {
    expect: (request) => {
      const { promise, resolve } = Promise.withResolvers<ChangeOutcome | Compared>();
      waiting.set(request, resolve);
      return promise;
    },
    answer: (request, outcome) => {
      waiting.get(request)?.(outcome);
      waiting.delete(request);
    },
  };
};

export interface FleetParts {
  readonly running: Running;
  readonly callers: ReturnType<typeof createCallers>;
  readonly workload: Workload;
  readonly clock: Clock;
  readonly trace: Trace;
  readonly unitState: () => UnitState;
  readonly view: Omit<Viewpoint, 'now' | 'wall'>;
  /** Why no change can be asked for here. */
  readonly observeOnly: string | null;
}

type ChangeAsked = Extract<ConfigMessage, { type: 'changeAsked' }>;

/** The inbound port on top of the running actors: what the API asks, answered from their states. */
export const createFleet = (parts: FleetParts): Fleet => {
  const { running, callers, workload, clock, trace, unitState, view, observeOnly } = parts;
  const status = () => fleetStatusOf(unitState(), { ...view, now: clock.now(), wall: clock.wall() });
  const ask = async (asked: Omit<ChangeAsked, 'type' | 'request' | 'wall'>): Promise<ChangeOutcome | Compared> => {
    if (observeOnly !== null)
      return {
        kind: 'unavailable',
        reason: `${view.self} only observes and takes no change, ask another unit: ${observeOnly}`,
      };
    const request = randomUUID();
    const answer = callers.expect(request);
    running.send(['config', { type: 'changeAsked', request, ...asked, wall: clock.wall() }]);
    return answer;
  };
  return {
    status,
    onStatus: (changed) => running.onDecided((actor) => actor === 'unit' && changed(status())),
    ready: () => readiness(unitState()),
    options: () => {
      const { snapshot } = unitState();
      if (!snapshot.known) return notRead;
      const { intent } = snapshot.value;
      return { kind: 'told', value: { version: intent?.version ?? 0, options: optionsView(intent?.options ?? {}) } };
    },
    change: async (change, about) => {
      const outcome = await ask({ change, ...about });
      if (outcome.kind === 'compared') throw new Error('a change was compared and not made');
      return outcome;
    },
    compare: (change) => ask({ change, author: '', reason: '', expected: null, dryRun: true }),
    credentials: (client) => credentialsOf(unitState(), client),
    trace: () => trace.entries(),
    pools: (signal) => poolsOf(unitState(), workload, signal),
    clients: (signal) => connections(unitState(), workload, signal),
  };
};

const notRead: NotYet = { kind: 'notYet', reason: 'the backplane has not been read yet: try again in a moment' };

/** Ready: every instance serves a verified generation and nothing is being drained. */
const readiness = ({ report, phase }: UnitState): ReturnType<Fleet['ready']> => {
  if (phase !== 'running') return { ready: false, reason: 'this unit is stopping' };
  if (report?.verified == null) return { ready: false, reason: 'no generation has been verified here yet' };
  const unserved = report.budget.filter(({ given }) => given === 0).map(({ name }) => name);
  if (unserved.length > 0)
    return { ready: false, reason: `no share of the connections to ${unserved.join(', ')} is to be had here yet` };
  const absent = report.instances.filter(({ state }) => state !== 'serving').map(({ id }) => id);
  return absent.length === report.instances.length
    ? { ready: false, reason: 'no instance serves' }
    : { ready: true, reason: '' };
};

const credentialsOf = ({ snapshot }: UnitState, name: string): CredentialsAnswer => {
  if (!snapshot.known) return notRead;
  const { intent, relations } = snapshot.value;
  const clients = intent?.clients ?? {};
  // The name is whatever somebody typed, and every object has a "constructor".
  const client = Object.hasOwn(clients, name) ? clients[name] : undefined;
  if (client === undefined) return { kind: 'unknownClient', clients: Object.keys(clients) };
  const record = relations.find(({ id }) => id === client.id);
  if (record?.databag == null)
    return {
      kind: 'notYet',
      reason: `client "${name}" has no credentials yet: they come when every live unit serves its login`,
    };
  return { kind: 'told', value: published(name, record.databag) };
};

const published = (client: string, databag: NonNullable<RelationRecord['databag']>) => {
  const text = (key: string): string => {
    const value = databag[key];
    return value instanceof Secret ? value.reveal() : (value ?? '');
  };
  const list = (key: string): readonly string[] =>
    text(key)
      .split(',')
      .filter((part) => part !== '');
  return {
    client,
    database: text('database'),
    username: text('username'),
    password: text('password'),
    endpoints: list('endpoints'),
    readOnlyEndpoints: list('read-only-endpoints'),
    readOnlyDatabase: list('read-only-endpoints').length === 0 ? null : readOnlyNameOf(text('database')),
    tlsAuthorities: text('tls') === 'True' ? text('tls-ca') : null,
  };
};

const poolsOf = async (
  { report }: UnitState,
  workload: Workload,
  signal: AbortSignal,
): Promise<readonly PoolStatus[]> => {
  const shown = (report?.instances ?? []).map(async ({ id }) =>
    poolsIn(id, (await workload.show(id, 'pools', signal)) ?? []),
  );
  return (await Promise.all(shown)).flat();
};

const connections = async (
  { report }: UnitState,
  workload: Workload,
  signal: AbortSignal,
): Promise<readonly ClientConnection[]> => {
  const instances = report?.instances ?? [];
  const shown = await Promise.all(
    instances.map(async ({ id, pid }) => {
      const rows = (await workload.show(id, 'clients', signal)) ?? [];
      return rows.map(
        (row): ClientConnection => ({
          instance: id,
          pid,
          user: row['user'] ?? '',
          database: row['database'] ?? '',
          address: row['addr'] ?? '',
          port: Number(row['port'] ?? 0),
          state: row['state'] ?? '',
        }),
      );
    }),
  );
  return shown.flat();
};
