import { known } from '../../model/known.ts';
import type { ClientMessage, WriteOutcome } from '../../protocol.ts';
import {
  type ClientSettings,
  type ClientState,
  setBackend,
  setWork,
  troubleAfter,
  troubled,
  withoutBackOff,
} from './state.ts';

/** What a message says, as facts; nothing is done about it here. */
export const absorb = (
  settings: ClientSettings,
  state: ClientState,
  message: ClientMessage,
  now: number,
): ClientState => {
  switch (message.type) {
    case 'observed': {
      const records = new Map(message.snapshot.relations.map((record) => [record.id, record] as const));
      return { ...state, intent: known(message.snapshot.intent), records };
    }
    case 'ticked':
      return state;
    case 'hooked':
      return withoutBackOff(state, now);
    case 'leadershipTold':
      // What an earlier leadership did here may have been undone since: every step is looked at again.
      return { ...state, leadership: message.leadership, work: new Map(), backends: new Map() };
    case 'backendsTold':
      return { ...state, facts: message.facts };
    case 'generationTold':
      return { ...state, published: message.published };
    case 'rosterTold':
      return { ...state, units: message.units };
    case 'minted':
      return setWork(state, message.id, { busy: false, account: message.account });
    case 'recordAnswered':
      return isKept(message.outcome)
        ? {
            ...setWork(state, message.record.id, { busy: false, trouble: null }),
            records: new Map(state.records).set(message.record.id, message.record),
          }
        : troubled(state, message.record.id, 'unkept', whyUnkept(message.outcome), now);
    case 'recordRemoved': {
      if (!isKept(message.outcome)) return troubled(state, message.id, 'unkept', whyUnkept(message.outcome), now);
      const records = new Map(state.records);
      const work = new Map(state.work);
      records.delete(message.id);
      work.delete(message.id);
      return sweepSoon({ ...state, records, work }, now);
    }
    case 'postgresAnswered':
      return postgresAnswered(state, message, now);
    case 'taggedListed': {
      const sweepAt = now + (message.logins === null ? 5_000 : settings.sweepMs);
      return setBackend(state, message.backend, { busy: false, sweepAt, orphans: message.logins ?? [] });
    }
  }
};

type Kept = Extract<WriteOutcome, 'committed' | 'staged'>;
const isKept = (outcome: WriteOutcome): outcome is Kept => outcome === 'committed' || outcome === 'staged';

const whyUnkept = (outcome: Exclude<WriteOutcome, Kept>): string => {
  switch (outcome) {
    case 'fenced':
      return 'another unit leads by now';
    case 'conflict':
      return 'somebody else wrote it at the same moment';
    case 'unavailable':
      return 'the store did not answer';
  }
};

/** A step that was given up may still arrive in PostgreSQL after its undoing: what it leaves is looked for soon. */
const sweepSoon = (state: ClientState, now: number): ClientState => ({
  ...state,
  backends: new Map(
    [...state.backends].map(([name, work]) => [name, { ...work, sweepAt: Math.min(work.sweepAt, now + soonMs) }]),
  ),
});
const soonMs = 10_000;

type PostgresAnswered = Extract<ClientMessage, { type: 'postgresAnswered' }>;
const postgresAnswered = (before: ClientState, message: PostgresAnswered, now: number): ClientState => {
  const { backend, relation, step, outcome, epoch } = message;
  if (before.leadership?.epoch !== epoch) return before; // Asked under another leadership.
  const state = setBackend(before, backend, { busy: false });
  const reason = outcome.kind === 'done' ? '' : reasonOf(outcome);
  const kind = outcome.kind === 'refused' ? 'blocked' : 'waiting';
  if (step === 'raiseFence') {
    if (outcome.kind === 'done') return setBackend(state, backend, { fencedUnder: epoch, trouble: null });
    return setBackend(state, backend, {
      trouble: troubleAfter(state.backends.get(backend)?.trouble ?? null, kind, reason, now),
    });
  }
  if (relation === null)
    return setBackend(state, backend, { orphans: (state.backends.get(backend)?.orphans ?? []).slice(1) });
  if (outcome.kind !== 'done') {
    const unfenced = outcome.kind === 'fenced' ? setBackend(state, backend, { fencedUnder: null }) : state;
    // What was ready before may be gone by now: the steps begin again.
    const again = setWork(unfenced, relation, { databaseReady: false, loginReady: false });
    return troubled(again, relation, kind, reason, now);
  }
  switch (step) {
    case 'ensureDatabase':
      return setWork(state, relation, { busy: false, trouble: null, databaseReady: true });
    case 'ensureLogin':
      return setWork(state, relation, { busy: false, trouble: null, loginReady: true });
    case 'dropLogin':
      return setWork(state, relation, { busy: false, trouble: null, loginDropped: true });
  }
};

const reasonOf = (outcome: Exclude<PostgresAnswered['outcome'], { kind: 'done' }>): string =>
  outcome.kind === 'fenced' ? 'a newer leader has acted on this backend' : outcome.reason;
