/**
 * Leadership of this unit: claim, renew, step down, hand over.
 *
 * States: following (somebody else holds the lease, or nobody) → claiming (asked, no answer yet) → leading → following.
 * What moves it: the lease as the store shows it (`observed`), answers to our own asking, and time (`ticked`).
 * Invariants: leadership is trusted until asked-at + ttl − margin and not a moment longer, whatever arrives; at most one question
 * is under way; an answer to a question we no longer have changes nothing; a grant heard too late is no grant. Whoever stops
 * never claims again.
 */
import type { Decision, Send } from '../kit/behaviour.ts';
import type { Millis, Nonce, UnitName } from '../model/ids.ts';
import type { Leadership } from '../model/leadership.ts';
import type { LeaseView, Snapshot } from '../model/snapshot.ts';
import { lack } from '../model/wait-catalogue.ts';
import { type Lack, type Wait, waitsOf } from '../model/waits.ts';
import type { LeaderMessage } from '../protocol.ts';

export interface LeaderSettings {
  readonly self: UnitName;
  readonly nonce: Nonce;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly marginMs: number;
  /** Spreads contenders; different for each unit. */
  readonly jitterMs: number;
}

export type LeaderEffect =
  | { readonly type: 'acquire'; readonly ttl: Millis; readonly askedAt: number }
  | { readonly type: 'renew'; readonly leadership: Leadership; readonly ttl: Millis; readonly askedAt: number }
  | { readonly type: 'release'; readonly leadership: Leadership; readonly successor: UnitName | null };

export interface LeaderState {
  readonly leadership: Leadership | null;
  /** What was told last; undefined before anything was known. */
  readonly told: Leadership | null | undefined;
  readonly lease: LeaseView | null;
  /** When the lease as last seen ends, unless it is renewed. */
  readonly leaseUntil: number;
  readonly successor: UnitName | null;
  readonly asking: { readonly what: LeaderEffect['type']; readonly askedAt: number } | null;
  readonly askAgainAt: number;
  readonly stopping: boolean;
  readonly waits: readonly Wait[];
}
type Decided = Decision<LeaderState, LeaderEffect>;

/** After no answer: soon enough to keep a lease, slow enough not to hammer. */
const retryMs = 250;

export const initial: LeaderState = {
  leadership: null,
  told: undefined,
  lease: null,
  leaseUntil: 0,
  successor: null,
  asking: null,
  askAgainAt: 0,
  stopping: false,
  waits: [],
};

export const decideWith =
  (settings: LeaderSettings) =>
  (state: LeaderState, message: LeaderMessage, now: number): Decided =>
    speak(state, reconcile(settings, absorb(settings, lapsed(state, now), message, now), now), now);

/** Looked at before any message: nothing is done under a lease that time has ended. */
const lapsed = (state: LeaderState, now: number): LeaderState =>
  state.leadership !== null && now >= state.leadership.until ? { ...state, leadership: null, askAgainAt: now } : state;

const absorb = (settings: LeaderSettings, state: LeaderState, message: LeaderMessage, now: number): LeaderState => {
  switch (message.type) {
    case 'observed':
      return leaseSeen(settings, state, message.snapshot, now);
    case 'ticked':
      return state;
    case 'hooked':
      return ['stop', 'stopNow', 'remove', 'handOver'].includes(message.hook.type)
        ? { ...state, stopping: true }
        : state;
    case 'acquireAnswered': {
      if (!isAnswered(state, 'acquire', message.askedAt)) return state;
      const heard = { ...state, asking: null };
      if (message.result.kind === 'held') {
        return { ...heard, askAgainAt: now + message.result.freeInMs + settings.jitterMs, told: state.told ?? null };
      }
      const until = message.askedAt + settings.ttlMs - settings.marginMs;
      if (now >= until) return { ...heard, askAgainAt: now };
      const { epoch } = message.result;
      return {
        ...heard,
        leadership: { epoch, nonce: settings.nonce, holder: settings.self, until },
        askAgainAt: message.askedAt + settings.renewMs,
      };
    }
    case 'renewAnswered': {
      if (!isAnswered(state, 'renew', message.askedAt)) return state;
      const heard = { ...state, asking: null };
      if (message.result.kind === 'lost' || state.leadership === null)
        return { ...heard, leadership: null, askAgainAt: now };
      const until = message.askedAt + settings.ttlMs - settings.marginMs;
      return { ...heard, leadership: { ...state.leadership, until }, askAgainAt: message.askedAt + settings.renewMs };
    }
    case 'leaseUnavailable':
      return state.asking?.askedAt === message.askedAt ? { ...state, asking: null, askAgainAt: now + retryMs } : state;
    case 'released':
      return { ...state, asking: null };
  }
};

const isAnswered = ({ asking }: LeaderState, what: LeaderEffect['type'], askedAt: number): boolean =>
  asking !== null && asking.what === what && asking.askedAt === askedAt;

/** A free lease is asked for at once; a held one when it would end. Another holder than us while we lead: we were deposed. */
const leaseSeen = (settings: LeaderSettings, state: LeaderState, snapshot: Snapshot, now: number): LeaderState => {
  const { lease } = snapshot;
  const leaseUntil = lease.holder === null ? now : now + lease.freeInMs;
  const seen = { ...state, lease, leaseUntil, successor: successorIn(snapshot, settings.self) };
  if (state.leadership !== null) {
    const deposed = lease.epoch > state.leadership.epoch;
    return deposed ? { ...seen, leadership: null, askAgainAt: now + lease.freeInMs + settings.jitterMs } : seen;
  }
  const ours = lease.nonce === settings.nonce; // Granted, but the answer was lost: asking again gives the same epoch.
  if (ours || lease.holder === null || lease.freeInMs <= 0)
    return { ...seen, askAgainAt: Math.min(state.askAgainAt, now) };
  return { ...seen, askAgainAt: now + lease.freeInMs + settings.jitterMs };
};

/** The freshest live peer: it is named first in line when we hand over. */
const successorIn = (snapshot: Snapshot, self: UnitName): UnitName | null =>
  snapshot.units
    .filter(({ unit, presence, silentMs }) => unit !== self && presence === 'live' && silentMs < 2_000)
    .toSorted((a, b) => a.silentMs - b.silentMs)[0]?.unit ?? null;

const reconcile = (settings: LeaderSettings, state: LeaderState, now: number): Decided => {
  const { leadership, asking, stopping } = state;
  if (stopping) {
    if (leadership === null) return { state };
    const released = { ...state, leadership: null, asking: { what: 'release' as const, askedAt: now } };
    return { state: released, effects: [{ type: 'release', leadership, successor: state.successor }] };
  }
  if (asking !== null || now < state.askAgainAt || state.lease === null) return { state };
  const ttl = settings.ttlMs as Millis;
  const effect: LeaderEffect =
    leadership === null ? { type: 'acquire', ttl, askedAt: now } : { type: 'renew', leadership, ttl, askedAt: now };
  return { state: { ...state, asking: { what: effect.type, askedAt: now } }, effects: [effect] };
};

/** Tells what changed: leadership to those who act under it, what is lacking to `unit`. */
const speak = (before: LeaderState, decided: Decided, now: number): Decided => {
  const tell: Send[] = [];
  let { state } = decided;
  const { leadership } = state;
  const changed =
    before.told === undefined ? leadership !== null || state.told === null : leadership?.epoch !== before.told?.epoch;
  if (changed) {
    state = { ...state, told: leadership };
    const fact = { type: 'leadershipTold', leadership } as const;
    tell.push(['unit', fact], ['config', fact], ['peers', fact], ['backend', fact], ['client', fact]);
  }
  const waits = waitsOf(before.waits, lacksOf(state, now), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'leader', waits }]);
  }
  return { ...decided, state, tell };
};

const lacksOf = ({ leadership, lease, leaseUntil, stopping }: LeaderState, now: number): readonly Lack[] =>
  lease === null || leadership !== null || now < leaseUntil || stopping ? [] : [lack.leader({})];
