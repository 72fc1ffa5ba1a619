import type { RelationId } from '../../model/ids.ts';
import { known } from '../../model/known.ts';
import { same } from '../../model/same.ts';
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
    case 'recalled':
      return {
        ...state,
        recalledSince: new Map(
          message.memory.waits.map(({ id, sinceWallMs }) => [id, now - Math.max(0, message.wall - sinceWallMs)]),
        ),
      };
    case 'observed': {
      const records = new Map(message.snapshot.relations.map((record) => [record.id, record] as const));
      const unreadable = message.snapshot.damaged.flatMap(({ relation, reason }) =>
        relation === null ? [] : [[relation, reason] as const],
      );
      const inherited = new Map((message.snapshot.inherited ?? []).map((one) => [one.id, one] as const));
      return { ...state, intent: known(message.snapshot.intent), records, inherited, damaged: new Map(unreadable) };
    }
    case 'ticked':
      return state;
    case 'hooked':
      return withoutBackOff(state, now);
    case 'leadershipTold':
      // What an earlier leadership did here may have been undone since: every step is looked at again.
      return { ...state, leadership: message.leadership, work: new Map(), backends: new Map() };
    case 'backendsTold': {
      const next = { ...state, facts: message.facts, factsUnder: message.under };
      return hasCome(state.facts, message.facts) ? withoutBackOff(next, now) : next;
    }
    case 'generationTold':
      return { ...state, published: message.published };
    case 'rosterTold':
      return { ...state, units: message.units };
    case 'minted':
      return setWork(state, message.id, {
        busy: false,
        ...(message.lookup === true ? { lookup: message.account } : { account: message.account }),
      });
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
      return { ...state, records, work };
    }
    case 'postgresAnswered':
      return postgresAnswered(state, message, now);
    case 'audited':
      return audited(settings, state, message, now);
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

/** A backend is ready that was not, or has another primary. */
const hasCome = (before: ClientState['facts'], after: ClientState['facts']): boolean =>
  [...after].some(([name, facts]) => {
    const earlier = before.get(name);
    return facts.kind === 'ready' && !(earlier?.kind === 'ready' && same(earlier.primary, facts.primary));
  });

type Audited = Extract<ClientMessage, { type: 'audited' }>;
const audited = (
  { auditMs }: ClientSettings,
  state: ClientState,
  { backend, epoch, audit }: Audited,
  now: number,
): ClientState => {
  if (state.leadership?.epoch !== epoch) return state;
  const next = { busy: false, auditAt: now + auditMs };
  if (audit === null) return setBackend(state, backend, next);
  if (audit.kind !== 'audited') return setBackend(state, backend, { ...next, fencedUnder: null });
  return setBackend(state, backend, { ...next, orphans: audit.logins, findings: audit.findings });
};

type PostgresAnswered = Extract<ClientMessage, { type: 'postgresAnswered' }>;
const postgresAnswered = (before: ClientState, message: PostgresAnswered, now: number): ClientState => {
  const { backend, relation, step, outcome, epoch } = message;
  if (before.leadership?.epoch !== epoch) return before; // Asked under another leadership.
  const state = setBackend(before, backend, { busy: false });
  const reason = outcome.kind === 'done' ? '' : reasonOf(outcome);
  const kind = outcome.kind === 'refused' ? 'blocked' : 'waiting';
  if (step === 'raiseFence') {
    if (outcome.kind === 'done') return setBackend(state, backend, { fencedUnder: epoch, trouble: null, auditAt: now });
    const earlier = state.backends.get(backend)?.trouble ?? null;
    // A leader that is past hears so from the store within a lease: who goes on leading needs a person.
    const isLasting = outcome.kind === 'fenced' && (earlier?.attempt ?? 0) >= patientAttempts;
    return setBackend(state, backend, { trouble: troubleAfter(earlier, isLasting ? 'blocked' : kind, reason, now) });
  }
  if (relation === null)
    return setBackend(state, backend, { orphans: (state.backends.get(backend)?.orphans ?? []).slice(1) });
  if (outcome.kind !== 'done') {
    const unfenced = outcome.kind === 'fenced' ? setBackend(state, backend, { fencedUnder: null }) : state;
    // What was ready before may be gone by now: the steps begin again.
    const again = setWork(unfenced, relation, { databaseReady: false, loginReady: false, lookupReady: false });
    return troubled(again, relation, kind, reason, now);
  }
  switch (step) {
    case 'ensureDatabase':
      return setWork(state, relation, { busy: false, trouble: null, databaseReady: true });
    case 'mendDatabase':
      return setWork(settled(state, backend, relation, now), relation, { busy: false, trouble: null });
    // First, or again for what has changed since.
    case 'adoptDatabase':
      return setWork(settled(state, backend, relation, now), relation, {
        busy: false,
        trouble: null,
        databaseReady: true,
      });
    case 'ensureLogin':
    case 'adoptLogin':
      return setWork(settled(state, backend, relation, now), relation, {
        busy: false,
        trouble: null,
        loginReady: true,
      });
    case 'ensureLookup':
      return setWork(settled(state, backend, relation, now), relation, {
        busy: false,
        trouble: null,
        lookupReady: true,
      });
    case 'dropLookup':
      return setWork(state, relation, { busy: false, trouble: null, lookupDropped: true });
    case 'dropLogin':
      return setWork(state, relation, { busy: false, trouble: null, loginDropped: true });
  }
};

/** What was found is mended, as far as we know: the next audit sees. */
const settled = (state: ClientState, backend: string, relation: RelationId, now: number): ClientState => {
  const before = state.backends.get(backend)?.findings ?? [];
  const findings = before.filter((finding) => finding.relation !== relation);
  return findings.length === before.length ? state : setBackend(state, backend, { findings, auditAt: now });
};

const patientAttempts = 3;

const reasonOf = (outcome: Exclude<PostgresAnswered['outcome'], { kind: 'done' }>): string =>
  outcome.kind === 'fenced'
    ? 'a newer leader of an application of this name has acted there; it may be of another fleet, which then needs another name; or somebody changed the table troupe.fence there, and DELETE FROM troupe.fence mends it'
    : outcome.reason;
