/**
 * All client relations, in one map by relation id.
 *
 * Life of a relation: alive (the intent names it) → dying (only our record is left) → gone (the record is removed).
 * Steps of a living one, each from facts: account minted → recorded → backend fenced → database → login → recorded as provisioned
 * → served by every live unit → databag published; where its login may make others, what these need is then made and recorded.
 * Whoever was served by somebody else before has an account already: it is kept, and database and login are adopted, not made. A
 * dying one: what others needed and the login dropped in PostgreSQL → record removed.
 * What moves it: the snapshot (intent and records), leadership, backend facts, generation and acknowledgements, answers, time.
 * Invariants: only a leader acts, and everything it does carries that leadership; nothing is removed unless the snapshot and the
 * backend are known; one step at a time per backend and per relation; each step may be repeated; a decision that throws
 * quarantines its relation and no other. `config` is always told the whole map.
 */
import type { Decision, Send } from '../../kit/behaviour.ts';
import { same } from '../../model/same.ts';
import { type Lack, waitsOf } from '../../model/waits.ts';
import type { ClientMessage, ServedClient } from '../../protocol.ts';
import { absorb } from './absorb.ts';
import { usernameOf } from './databag.ts';
import { eachBackend } from './each-backend.ts';
import { eachRelation } from './each-relation.ts';
import { relationsOf } from './relations.ts';
import type { ClientEffect, ClientSettings, ClientState } from './state.ts';

type Decided = Decision<ClientState, ClientEffect>;

export const decideWith =
  (settings: ClientSettings) =>
  (state: ClientState, message: ClientMessage, now: number): Decided => {
    const absorbed = absorb(settings, state, message, now);
    const effects: ClientEffect[] = [];
    const lacks: Lack[] = [];
    const { leadership, intent } = absorbed;
    if (leadership === null || !intent.known) return speak(settings, state, absorbed, effects, lacks, now);
    const turn = { settings, leadership, now, effects, lacks };
    return speak(settings, state, eachBackend(turn, eachRelation(turn, absorbed)), effects, lacks, now);
  };

/** Until a step that went wrong is tried again. */
export const dueAt = ({ leadership, work, backends }: ClientState): number =>
  leadership === null
    ? Number.POSITIVE_INFINITY
    : Math.min(
        Number.POSITIVE_INFINITY,
        ...[...work.values(), ...backends.values()].flatMap(({ trouble }) =>
          trouble === null ? [] : [trouble.retryAt],
        ),
      );

const speak = (
  settings: ClientSettings,
  before: ClientState,
  next: ClientState,
  effects: readonly ClientEffect[],
  lacks: readonly Lack[],
  now: number,
): Decided => {
  const tell: Send[] = [];
  let state = next;
  if (state.intent.known) {
    const clients = servedOf(settings, state);
    if (!same(clients, state.told)) {
      state = { ...state, told: clients };
      tell.push(['config', { type: 'clientsTold', clients }]);
    }
  }
  const waits = waitsOf(before.waits, lacks, now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'client', waits }]);
  }
  return { state, tell, effects };
};

/** Relations that the fleet must serve: alive, and confirmed by PostgreSQL. */
const servedOf = ({ application }: ClientSettings, state: ClientState): readonly ServedClient[] =>
  relationsOf(state.intent.known ? state.intent.value : null, state.records).flatMap(
    ({ id, name, database, backend, life, record }) => {
      const account = record?.provisioned === true ? record.account : null;
      const kept =
        account ??
        (state.damaged.has(id)
          ? publishedLogin(state, state.inherited.get(id)?.username ?? usernameOf(application, name, id))
          : null);
      const lookup = record?.lookup?.ready === true ? { lookup: record.lookup.account } : {};
      return life !== 'dying' && kept !== null ? [{ id, name, database, backend, account: kept, ...lookup }] : [];
    },
  );

/** Whose record cannot be read is served on as it is published. */
const publishedLogin = ({ published }: ClientState, username: string): ServedClient['account'] | null => {
  const user = published?.spec.users.find(({ name }) => name === username);
  return user === undefined ? null : { username, verifier: user.secret };
};
