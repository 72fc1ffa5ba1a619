/**
 * The unit: where hooks and signals enter, the one reader of the backplane, the only writer of the status line.
 *
 * States: starting (nothing observed) → observing in turns, one reading at a time → stopping (drain under way) → left.
 * What moves it: time, hints and hooks (they only say "look again"), what was read, and what the other actors lack.
 * Invariants: at most one reading is under way, and a hint during it causes another one after it; every reading is told to every
 * actor; the status line is a function of waits and workload; the backplane is told that we leave only after the instances ended.
 */
import type { Decision, Name, Send } from '../kit/behaviour.ts';
import { reportsOf } from '../model/backend.ts';
import type { Hook } from '../model/hook.ts';
import { type Known, known, unknown } from '../model/known.ts';
import type { Nonce, UnitName } from '../model/ids.ts';
import { departureOf } from '../model/intent.ts';
import { type Finding, type Remark, remarksOf } from '../model/remark.ts';
import { same } from '../model/same.ts';
import type { BackendReport, Memory, Snapshot } from '../model/snapshot.ts';
import { lack } from '../model/wait-catalogue.ts';
import { type Lack, type StatusWord, type Wait, waitsOf } from '../model/waits.ts';
import type { ApiTrouble, UnitMessage, UnitRecordStatus, WorkloadReport } from '../protocol.ts';
import { hooksBetween } from './hooks.ts';

export interface UnitSettings {
  readonly self: UnitName;
  readonly nonce: Nonce;
  /** What stopping means, unless the operator asked for the departure. */
  readonly leaveAs: 'down' | 'departed';
  /** How often the store is told that this unit lives. */
  readonly beatMs: number;
  /** Why nothing but looking is done here; null as a rule. */
  readonly observeOnly: Lack | null;
}

export type UnitEffect =
  | { readonly type: 'observe' }
  | { readonly type: 'remember'; readonly memory: Memory }
  | { readonly type: 'leave'; readonly how: 'down' | 'departed' };

export type BackplaneState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'connected'; readonly since: number }
  | { readonly kind: 'unreachable'; readonly since: number; readonly reason: string }
  | { readonly kind: 'refused'; readonly since: number; readonly reason: string };

export interface UnitState {
  readonly snapshot: Known<Snapshot>;
  readonly snapshotAt: number;
  readonly backplane: BackplaneState;
  readonly observing: boolean;
  /** Something may have changed since the reading under way began. */
  readonly stale: boolean;
  readonly observedAt: number;
  readonly waitsOf: ReadonlyMap<Name, readonly Wait[]>;
  /** What the API of this unit lacks. */
  readonly apiWaits: readonly Wait[];
  /** What the platform lacks: of relations and rights that only it knows of. */
  readonly platformWaits: readonly Wait[];
  readonly platformRemarks: readonly Finding[];
  /** Monotonic since of waits that an earlier process had, by id. */
  readonly recalledSince: ReadonlyMap<string, number>;
  readonly report: WorkloadReport | null;
  readonly backends: readonly BackendReport[];
  readonly status: UnitRecordStatus;
  /** Our own memory has been read: before that, nothing may be written over it. */
  readonly recalled: boolean;
  readonly remembered: Memory | null;
  /** What this process found damaged when it started: remarked until it ends. */
  readonly losses: readonly string[];
  /** Of units whose databags cannot be read. */
  readonly damaged: ReadonlyMap<UnitName, readonly Remark[]>;
  readonly remembering: 'no' | 'underWay' | 'failed';
  /** Wall-clock minus monotonic, from the last tick; as it was when it began to leave, whose deadline it tells: that would flicker. */
  readonly wallOffset: number;
  /** It gives number and share up when it stops: the operator asked for that. */
  readonly departing: boolean;
  readonly phase: 'running' | 'stopping' | 'leaving' | 'left';
}
type Decided = Decision<UnitState, UnitEffect>;

export const initial: UnitState = {
  snapshot: unknown,
  snapshotAt: 0,
  backplane: { kind: 'unknown' },
  observing: false,
  stale: false,
  observedAt: Number.NEGATIVE_INFINITY,
  waitsOf: new Map(),
  apiWaits: [],
  platformWaits: [],
  platformRemarks: [],
  recalledSince: new Map(),
  report: null,
  backends: [],
  status: { word: 'maintenance', message: 'starting', waits: [], remarks: [] },
  recalled: false,
  remembered: null,
  losses: [],
  damaged: new Map(),
  remembering: 'no',
  wallOffset: 0,
  departing: false,
  phase: 'running',
};

const everybody = ['leader', 'config', 'workload', 'peers', 'backend', 'client'] as const;

/** Who has something to do with a hook; whoever is not named hears of it through the snapshot alone. */
const concerns: Readonly<Record<Hook['type'], readonly ('leader' | 'config' | 'workload' | 'backend' | 'client')[]>> = {
  install: ['workload', 'config', 'backend', 'client'],
  start: ['workload', 'config', 'backend', 'client'],
  upgradeCharm: ['workload', 'config', 'backend', 'client'],
  workloadReady: ['workload', 'config', 'backend', 'client'],
  optionsChanged: ['config'],
  leaderElected: ['leader', 'config', 'backend', 'client'],
  leaderLost: ['leader'],
  peerJoined: ['config', 'client'],
  peerChanged: [],
  peerDeparted: ['config', 'client'],
  relationCreated: ['backend', 'client'],
  relationJoined: ['backend', 'client'],
  relationChanged: ['backend', 'client'],
  relationDeparted: ['backend', 'client'],
  relationBroken: ['backend', 'client'],
  updateStatus: ['workload', 'backend', 'client'],
  secretChanged: ['backend', 'client'],
  action: [],
  stop: ['leader', 'workload'],
  stopNow: ['leader', 'workload'],
  handOver: ['leader'],
  remove: ['leader', 'workload'],
};

export const decideWith =
  (settings: UnitSettings) =>
  (state: UnitState, message: UnitMessage, now: number): Decided => {
    const { state: next, tell, effects } = absorb(settings, state, message, now);
    return conclude(settings, next, tell ?? [], effects ?? [], now);
  };

const absorb = (settings: UnitSettings, state: UnitState, message: UnitMessage, now: number): Decided => {
  switch (message.type) {
    case 'ticked': {
      const due = now - state.observedAt >= settings.beatMs;
      return {
        state: {
          ...state,
          stale: state.stale || due,
          recalledSince: stillWaiting(state),
          wallOffset: (state.report?.leaving ?? null) === null ? message.wall - now : state.wallOffset,
          remembering: state.remembering === 'failed' ? 'no' : state.remembering,
        },
        tell: everybody.map((to): Send => [to, message]),
      };
    }
    case 'hookArrived':
      return {
        state: {
          ...state,
          stale: true,
          departing: state.departing || message.hook.type === 'remove',
          phase: endsUnit(message.hook) && state.phase === 'running' ? 'stopping' : state.phase,
        },
        tell: routed(message.hook),
      };
    case 'hinted':
      return { state: { ...state, stale: true } };
    case 'instanceExited':
      return { state, tell: [['workload', message]] };
    case 'snapshotRead':
      return snapshotRead(settings, state, message.snapshot, now);
    case 'snapshotRefused':
      return { state: { ...state, observing: false, backplane: since(state, 'refused', message.reason, now) } };
    case 'snapshotUnavailable':
      return { state: { ...state, observing: false, backplane: since(state, 'unreachable', message.reason, now) } };
    case 'leadershipTold':
      return { state };
    case 'waitsTold':
      return { state: { ...state, waitsOf: new Map(state.waitsOf).set(message.from, message.waits) } };
    case 'apiTold':
      return { state: { ...state, apiWaits: waitsOf(state.apiWaits, apiLacks(settings, message.troubles), now) } };
    case 'platformTold':
      return {
        state: {
          ...state,
          platformWaits: waitsOf(state.platformWaits, message.lacks, now),
          platformRemarks: message.remarks,
        },
      };
    case 'workloadTold':
      return { state: { ...state, report: message.report } };
    case 'backendsTold':
      return { state: { ...state, backends: reportsOf(message.facts) } };
    case 'recalled': {
      const recalledSince = message.memory.waits.map(
        ({ id, sinceWallMs }) => [id, now - (message.wall - sinceWallMs)] as const,
      );
      return {
        state: {
          ...state,
          recalledSince: new Map(recalledSince),
          recalled: true,
          remembered: message.memory,
          losses: message.losses,
          wallOffset: message.wall - now,
        },
      };
    }
    case 'remembered':
      return message.kept
        ? { state: { ...state, remembering: 'no' } }
        : { state: { ...state, remembering: 'failed', remembered: null } };
    case 'left':
      return { state: { ...state, phase: 'left' } };
  }
};

/** A recalled instant belongs to a wait that has lasted since then; one that comes anew later has its own. */
const stillWaiting = ({ recalledSince, status, report, snapshot }: UnitState): ReadonlyMap<string, number> =>
  recalledSince.size === 0 || report === null || !snapshot.known
    ? recalledSince
    : new Map([...recalledSince].filter(([id]) => status.waits.some((wait) => wait.id === id)));

const endsUnit = ({ type }: Hook): boolean => type === 'stop' || type === 'stopNow' || type === 'remove';

const routed = (hook: Hook): readonly Send[] => concerns[hook.type].map((to): Send => [to, { type: 'hooked', hook }]);

const snapshotRead = (settings: UnitSettings, state: UnitState, snapshot: Snapshot, now: number): Decided => {
  const hooks = state.snapshot.known ? hooksBetween(state.snapshot.value, snapshot, settings.self) : [];
  const departing =
    state.departing || departureOf(snapshot.intent, { unit: settings.self, nonce: settings.nonce }) !== null;
  return {
    state: {
      ...state,
      departing,
      phase: departing && state.phase === 'running' ? 'stopping' : state.phase,
      observing: false,
      snapshot: known(snapshot),
      damaged: damagedBags(state, snapshot, now),
      snapshotAt: now,
      backplane: state.backplane.kind === 'connected' ? state.backplane : { kind: 'connected', since: now },
    },
    tell: [
      ...everybody.filter((to) => to !== 'workload').map((to): Send => [to, { type: 'observed', snapshot }]),
      ...hooks.flatMap(routed),
      ...(departing && state.phase === 'running' ? routed({ type: 'remove' }) : []),
    ],
  };
};

const damagedBags = (state: UnitState, { damaged }: Snapshot, now: number): UnitState['damaged'] =>
  new Map(
    damaged.flatMap(({ unit, reason }) =>
      unit === null ? [] : [[unit, remarksOf(state.damaged.get(unit) ?? [], [damagedBag(unit, reason)], now)] as const],
    ),
  );

const damagedBag = (unit: UnitName, reason: string): Finding => ({
  id: 'damaged-databag',
  message: `the databag of ${unit} in the store cannot be read (${reason}): what is shown of ${unit} is what it said before; it writes it anew by itself when it runs, so when this stays, start it, and look who else writes to the store`,
});

const since = (state: UnitState, kind: 'unreachable' | 'refused', reason: string, now: number): BackplaneState => ({
  kind,
  reason,
  since: state.backplane.kind === kind ? state.backplane.since : now,
});

/** What follows from the facts alone: the next reading, the status line, what to remember, the farewell. */
const conclude = (
  settings: UnitSettings,
  before: UnitState,
  told: readonly Send[],
  asked: readonly UnitEffect[],
  now: number,
): Decided => {
  const tell = [...told];
  const effects = [...asked];
  let state = before;
  if (state.phase === 'stopping' && state.report?.leaving?.phase === 'stopped') {
    state = { ...state, phase: 'leaving' };
    effects.push({ type: 'leave', how: state.departing ? 'departed' : settings.leaveAs });
  }
  const status = statusOf(settings, state, now);
  if (!sameStatus(status, state.status)) {
    state = { ...state, status };
    tell.push(['peers', { type: 'statusTold', status }]);
  }
  if (state.stale && !state.observing && (state.phase === 'running' || state.phase === 'stopping')) {
    state = { ...state, observing: true, stale: false, observedAt: now };
    effects.push({ type: 'observe' });
  }
  const memory = memoryOf(state);
  if (state.recalled && state.remembering === 'no' && !sameMemory(memory, state.remembered)) {
    state = { ...state, remembering: 'underWay', remembered: memory };
    effects.push({ type: 'remember', memory });
  }
  return { state, tell, effects };
};

const statusOf = (settings: UnitSettings, state: UnitState, now: number): UnitRecordStatus => {
  const waits = [
    ...observing(settings),
    ...backplaneWaits(settings, state),
    ...everybody.flatMap((from) => state.waitsOf.get(from) ?? []),
    ...state.apiWaits,
    ...state.platformWaits,
  ].map((wait) => ({ ...wait, since: Math.min(wait.since, state.recalledSince.get(wait.id) ?? now) }));
  return { ...wordOf(state, waits), waits, remarks: remarksOf(state.status.remarks, findingsIn(state), now) };
};

const findingsIn = ({ losses, report, platformRemarks }: UnitState): readonly Finding[] => [
  ...losses.map((message): Finding => ({ id: 'lost-state', message })),
  ...platformRemarks,
  ...(report?.remarks ?? []),
];

const wordOf = (state: UnitState, waits: readonly Wait[]): { readonly word: StatusWord; readonly message: string } => {
  if (state.phase === 'leaving' || state.phase === 'left') return { word: 'down', message: stoppedSentence(state) };
  if (state.phase === 'stopping') return { word: 'maintenance', message: stoppingSentence(state) };
  const blocked = waits.find(({ kind }) => kind === 'blocked');
  if (blocked !== undefined) return { word: 'blocked', message: blocked.message };
  // Whoever cannot reach its PgBouncers looks at nothing else, so that everything else waits for that.
  const first = waits.find(({ id }) => id === 'workload') ?? waits[0];
  if (first !== undefined) return { word: 'waiting', message: first.message };
  if (state.report === null) return { word: 'maintenance', message: 'starting' };
  return { word: 'active', message: '' };
};

/** Said from the first moment on, also should this actor be the one that cannot go on. */
export const initialOf = ({ observeOnly }: Pick<UnitSettings, 'observeOnly'>): UnitState =>
  observeOnly === null
    ? initial
    : {
        ...initial,
        status: { word: 'blocked', message: observeOnly.message, waits: observing({ observeOnly }), remarks: [] },
      };

const stoppingSentence = ({ report, wallOffset, departing }: UnitState): string => {
  const leaving = report?.leaving ?? null;
  const what = departing ? 'leaving the fleet' : 'stopping';
  if (leaving === null) return `${what}: its clients are drained`;
  const until = new Date(Math.round((leaving.until + wallOffset) / 1000) * 1000).toISOString().replace('.000Z', 'Z');
  if (leaving.phase === 'delay')
    return `${what}: load balancers have until ${until} to see that it is not ready, then its clients are drained`;
  const left = leaving.clients === null ? 'clients are drained' : listed(leaving.clients, 'left');
  return `${what}: ${left}; whoever is still there at ${until} is cut, a second SIGTERM does so at once`;
};

const stoppedSentence = ({ report }: UnitState): string => {
  const cut = report?.leaving?.clients ?? {};
  return Object.keys(cut).length === 0 ? 'stopped, nobody was cut' : `stopped, ${listed(cut, 'cut')}`;
};

/** How many connections of whom, the most first. */
const listed = (clients: Readonly<Record<string, number>>, what: string): string => {
  const most = Object.entries(clients).toSorted(([, a], [, b]) => b - a);
  const sum = most.reduce((count, [, n]) => count + n, 0);
  if (sum === 0) return `no client ${what}`;
  const named = most.slice(0, 5).map(([whose, n]) => `${whose} ${n}`);
  const rest = most.length > 5 ? ', …' : '';
  return `${sum} ${sum === 1 ? 'client' : 'clients'} ${what} (${named.join(', ')}${rest})`;
};

const observing = ({ observeOnly }: Pick<UnitSettings, 'observeOnly'>): readonly Wait[] =>
  observeOnly === null ? [] : [{ ...observeOnly, since: 0 }];

const backplaneWaits = ({ self }: UnitSettings, { backplane }: UnitState): readonly Wait[] => {
  switch (backplane.kind) {
    case 'unknown':
    case 'connected':
      return [];
    case 'unreachable':
      return [{ ...lack.backplaneUnreachable({ self, reason: backplane.reason }), since: backplane.since }];
    case 'refused':
      return [{ ...lack.backplaneRefused({ self, reason: backplane.reason }), since: backplane.since }];
  }
};

const apiLacks = ({ self }: UnitSettings, troubles: readonly ApiTrouble[]): readonly Lack[] =>
  troubles.map(({ file, reason }) =>
    file === 'tokens' ? lack.apiTokens({ self, reason }) : lack.apiCertificate({ self, reason }),
  );

const sameStatus = (a: UnitRecordStatus, b: UnitRecordStatus): boolean =>
  a.word === b.word && a.message === b.message && sameWords(a.waits, b.waits) && sameWords(a.remarks, b.remarks);

type Worded = Pick<Remark, 'id' | 'message'> | Pick<Wait, 'id' | 'message'>;
const sameWords = (a: readonly Worded[], b: readonly Worded[]): boolean =>
  a.length === b.length && a.every(({ id, message }, index) => id === b[index]?.id && message === b[index]?.message);

/** `since` is kept in whole seconds: it must survive, not be exact, and clocks drift against each other. */
const memoryOf = (state: UnitState): Memory => ({
  verified: state.report?.verified ?? state.remembered?.verified ?? null,
  waits: state.status.waits.map(({ id, since: at }) => {
    const kept = state.remembered?.waits.find((wait) => wait.id === id);
    return kept ?? { id, sinceWallMs: Math.round((at + state.wallOffset) / 1000) * 1000 };
  }),
});

const sameMemory = (a: Memory, b: Memory | null): boolean =>
  b !== null &&
  a.verified?.generation === b.verified?.generation &&
  a.verified?.digest === b.verified?.digest &&
  same(a.waits, b.waits);
