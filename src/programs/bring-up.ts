/** From units that have just been started to a client that all of them serve: what an operator would do by hand. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Change, ChangeOutcome } from '../actors/model/change.ts';
import type { ClientConnection, Credentials, FleetStatus, UnitStatus } from '../actors/model/status.ts';
import type { CredentialsAnswer } from '../actors/ports/fleet.ts';
import { type LocalBackend, type LocalFleet, type LocalUnit, usualPort } from '../infra/local/local-fleet.ts';

/** What is asked of one unit over its socket. Methods reject while it does not answer. */
export interface UnitApi {
  status(signal: AbortSignal): Promise<FleetStatus>;
  change(
    change: Change,
    signal: AbortSignal,
    about: { readonly author: string; readonly expected: null },
  ): Promise<ChangeOutcome>;
  credentials(client: string, signal: AbortSignal): Promise<CredentialsAnswer>;
  connections(signal: AbortSignal): Promise<readonly ClientConnection[]>;
}

export interface Served {
  readonly credentials: Credentials;
  readonly status: FleetStatus;
}

export interface BringUpOptions {
  readonly apiOf: (unit: LocalUnit) => UnitApi;
  readonly instances: number;
  /** Takes a sentence for people. */
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

const clientName = 'first';

/** Units on servers of their own, not started yet, wherever that is. */
export type StartableFleet = Pick<LocalFleet, 'units' | 'listenPort' | 'start' | 'throwWhenUnitEnded'>;

export const bringUp = async (fleet: StartableFleet, options: BringUpOptions): Promise<Served> => {
  const { apiOf, instances, say } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const backend = fleet.start();
  backend.catch((cause: unknown) => failed.abort(cause));
  const [first] = fleet.units;
  if (first === undefined) throw new Error('a fleet has at least one unit');
  const api = apiOf(first);
  const until = <T>(what: string, look: (signal: AbortSignal) => Promise<T | NotYet>): Promise<T> =>
    untilSeen(what, look, fleet, signal);

  if (fleet.listenPort !== usualPort)
    say(`port ${usualPort} is taken on this machine: the units listen on ${fleet.listenPort} instead`);
  await until(`${first.unit} answers`, (asking) => api.status(asking));
  for await (const change of changesFor(fleet, backend)) {
    const problem = await until(`${first.unit} accepts "${change.type}"`, async (asking) =>
      problemOf(await api.change(change, asking, { author: 'demo', expected: null })),
    );
    if (problem !== null) throw new Error(`the unit refuses "${change.type}": ${problem}`);
  }
  say('waiting until every unit serves the client');
  const credentials = await until(`client "${clientName}" has its login`, async (asking) => {
    const answer = await api.credentials(clientName, asking);
    if (answer.kind === 'told') return answer.value;
    return new NotYet(answer.kind === 'notYet' ? answer.reason : 'the unit does not know it yet');
  });
  const status = await until('every unit is active', async (asking) => {
    const seen = await api.status(asking);
    return laggardIn(seen, fleet.units.length, instances) ?? seen;
  });
  return { credentials, status };
};

const patienceMs = 60_000;
const answerMs = 10_000;
const pauseMs = 100;

class NotYet {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A unit that ends meanwhile is a failure: its log says why. */
const untilSeen = async <T>(
  what: string,
  look: (signal: AbortSignal) => Promise<T | NotYet>,
  fleet: StartableFleet,
  signal: AbortSignal,
): Promise<T> => {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    await fleet.throwWhenUnitEnded();
    const seen = await look(AbortSignal.any([signal, AbortSignal.timeout(answerMs)])).catch(notYetOf);
    if (!(seen instanceof NotYet)) return seen;
    if (performance.now() > deadline)
      throw new Error(`waited ${patienceMs / 1_000} s in vain until ${what}: ${seen.reason}`);
    await delay(pauseMs, undefined, { signal }).catch(() => {}); // Then the signal says what happened.
  }
};

const notYetOf = (cause: unknown): NotYet => new NotYet(cause instanceof Error ? cause.message : String(cause));

/** The port first, while PostgreSQL is still being made. */
async function* changesFor(fleet: StartableFleet, backend: Promise<LocalBackend>): AsyncGenerator<Change> {
  if (fleet.listenPort !== usualPort) yield { type: 'setOptions', options: { listen_port: fleet.listenPort } };
  const { endpoint, administrator } = await backend;
  yield { type: 'addBackend', name: 'main', endpoints: [endpoint], maintenanceDatabase: 'postgres', ...administrator };
  yield { type: 'addClient', name: clientName, database: 'first', backend: 'main', extraUserRoles: [] };
}

/** Null when it is done; what can never be done is told at once. */
const problemOf = (outcome: ChangeOutcome): string | null | NotYet => {
  switch (outcome.kind) {
    case 'accepted':
    case 'unchanged':
      return null;
    case 'invalid':
      return outcome.problems.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
    case 'refused':
    case 'unavailable':
      return new NotYet(outcome.reason);
    case 'moved':
      return new NotYet(`${outcome.by} changed the intent meanwhile`);
  }
};

const laggardIn = ({ units, generation }: FleetStatus, count: number, instances: number): NotYet | null => {
  if (units.length < count) return new NotYet(`only ${units.length} of ${count} units are there`);
  const isUp = (unit: UnitStatus): boolean =>
    unit.status === 'active' &&
    unit.generation.applied === generation.published &&
    unit.instances.filter(({ pid }) => pid !== null).length === instances;
  const laggard = units.find((unit) => !isUp(unit));
  return laggard === undefined ? null : new NotYet(`${laggard.unit} is ${laggard.status}: ${laggard.message}`);
};
