/**
 * The peer relation: this unit's databag, and the roster with everybody's acknowledgements.
 *
 * What moves it: what this unit is and serves (`statusTold`, `workloadTold`), what the backplane shows (`observed`).
 * Invariants: only this unit's bag is written here, one write at a time; the bag that should be is compared with the one the
 * store shows, so a lost write, a lost answer and a store that forgot are all mended by the next reading; the roster is told
 * whole. Only a leader removes a unit, and only after the departure grace or when the operator asked for its departure; one that
 * is silent then only when that was forced, and one that lives never: it leaves by itself.
 */
import type { Decision, Send } from '../../kit/behaviour.ts';
import { reportsOf } from '../../model/backend.ts';
import { type UnitName, unitNumberOf } from '../../model/ids.ts';
import { departureOf, type Intent } from '../../model/intent.ts';
import { type Known, known, unknown } from '../../model/known.ts';
import { same } from '../../model/same.ts';
import type { Leadership } from '../../model/leadership.ts';
import type { BackendReport, UnitBag, UnitRecord } from '../../model/snapshot.ts';
import type { PeersMessage, UnitRecordStatus, WorkloadReport } from '../../protocol.ts';

export interface PeersSettings {
  readonly self: UnitName;
  readonly pid: number;
  readonly version: string;
  /** A unit that is down or silent keeps its number and its share of the budget this long. */
  readonly departureGraceMs: number;
  /**
   * Connections in use come and go: by themselves they are told this seldom, and the more seldom the more units hear it.
   * Null: never, because whoever hears it is started for that.
   */
  readonly usageMs: number | null;
}

export type PeersEffect =
  | { readonly type: 'writeBag'; readonly bag: UnitBag }
  | { readonly type: 'removeUnit'; readonly leadership: Leadership; readonly unit: UnitName };

export interface PeersState {
  readonly units: Known<readonly UnitRecord[]>;
  readonly intent: Intent | null;
  readonly told: readonly UnitRecord[] | null;
  readonly report: WorkloadReport | null;
  readonly status: UnitRecordStatus | null;
  readonly leadership: Leadership | null;
  readonly backends: readonly BackendReport[];
  readonly writing: UnitBag | null;
  /** What the store is known to hold, from our own answered write or from a reading. */
  readonly written: UnitBag | null;
  /** What an earlier life of this unit left there; undefined before the first reading. */
  readonly earlier: UnitBag | null | undefined;
  readonly writtenAt: number;
  /** The store shows it, and it cannot be read: what is known of it is older. */
  readonly isDamaged: boolean;
  readonly removing: UnitName | null;
  readonly retryAt: number;
  readonly wallOffset: number;
}
type Decided = Decision<PeersState, PeersEffect>;

const retryMs = 500;

export const initial: PeersState = {
  units: unknown,
  intent: null,
  told: null,
  report: null,
  status: null,
  leadership: null,
  backends: [],
  writing: null,
  written: null,
  earlier: undefined,
  writtenAt: Number.NEGATIVE_INFINITY,
  isDamaged: false,
  removing: null,
  retryAt: 0,
  wallOffset: 0,
};

export const decideWith =
  (settings: PeersSettings) =>
  (state: PeersState, message: PeersMessage, now: number): Decided =>
    reconcile(settings, absorb(settings, state, message, now), now);

const absorb = (settings: PeersSettings, state: PeersState, message: PeersMessage, now: number): PeersState => {
  switch (message.type) {
    case 'observed': {
      const units = message.snapshot.units.toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit));
      const own = units.find(({ unit }) => unit === settings.self);
      // While a write is under way its answer says more than a reading that may be older.
      return {
        ...state,
        units: known(units),
        intent: message.snapshot.intent,
        written: state.writing === null ? (own?.bag ?? null) : state.written,
        earlier: state.earlier === undefined ? (own?.bag ?? null) : state.earlier,
        isDamaged: message.snapshot.damaged.some(({ unit }) => unit === settings.self),
      };
    }
    case 'ticked':
      return { ...state, wallOffset: message.wall - now };
    case 'leadershipTold':
      return { ...state, leadership: message.leadership };
    case 'backendsTold':
      return { ...state, backends: reportsOf(message.facts) };
    case 'workloadTold':
      return { ...state, report: message.report };
    case 'statusTold':
      return { ...state, status: message.status };
    case 'bagAnswered':
      return message.outcome === 'committed' || message.outcome === 'staged'
        ? { ...state, written: state.writing, writing: null }
        : { ...state, writing: null, retryAt: now + retryMs };
    case 'removeAnswered':
      return { ...state, removing: null };
  }
};

const reconcile = (settings: PeersSettings, before: PeersState, now: number): Decided => {
  const tell: Send[] = [];
  const effects: PeersEffect[] = [];
  let state = before;
  const { units, leadership } = before;
  if (units.known && (state.told === null || !sameRoster(units.value, state.told))) {
    state = { ...state, told: units.value };
    const fact = { type: 'rosterTold', units: units.value } as const;
    tell.push(['config', fact], ['client', fact]);
  }
  const bag = bagOf(settings, state);
  if (
    bag !== null &&
    units.known &&
    state.writing === null &&
    now >= state.retryAt &&
    isNews(settings, state, bag, now)
  ) {
    state = { ...state, writing: bag, writtenAt: now };
    effects.push({ type: 'writeBag', bag });
  }
  const departed = departedOf(settings, state);
  if (departed !== null && leadership !== null && state.removing === null) {
    state = { ...state, removing: departed };
    effects.push({ type: 'removeUnit', leadership, unit: departed });
  }
  return { state, tell, effects };
};

const isNews = (
  { usageMs }: PeersSettings,
  { written, writtenAt, units, isDamaged }: PeersState,
  bag: UnitBag,
  now: number,
): boolean => {
  if (isDamaged) return now - writtenAt >= (usageMs ?? 0);
  if (same(bag, written)) return false;
  const readers = units.known ? units.value.length : 1;
  return (
    written === null ||
    (usageMs !== null && now - writtenAt >= Math.max(usageMs, readers * usageForEachMs)) ||
    !same(withoutUsage(bag), withoutUsage(written))
  );
};
const usageForEachMs = 1_000;

/** Whether something must still close is news at once, for others wait for that; how much is in use is not. */
const withoutUsage = (bag: UnitBag) => ({
  ...bag,
  budget: bag.budget.map(({ used: _, held, ...rest }) => ({ ...rest, isAbove: held === null || held > rest.given })),
});

const bagOf = (
  settings: PeersSettings,
  { status, report, wallOffset, written, earlier, leadership, backends }: PeersState,
): UnitBag | null =>
  status === null
    ? null
    : {
        status: status.word,
        message: status.message,
        pid: settings.pid,
        version: settings.version,
        address: report?.address ?? '',
        applied: report?.verified?.generation ?? null,
        refused: report?.refused ?? null,
        instances: report?.instances ?? [],
        budget: report?.budget ?? [],
        tls: report?.tls ?? null,
        backends: leadership === null ? [] : backends,
        waits: status.waits.map(({ id, kind, message, since, on }) => ({
          id,
          kind,
          message,
          on,
          // Clocks drift: a wait that is written keeps its instant.
          sinceWallMs:
            written?.waits.find((wait) => wait.id === id)?.sinceWallMs ??
            lastingSince(earlier, id, Math.round(since + wallOffset)),
        })),
        remarks: status.remarks.map(({ id, message, since }) => ({
          id,
          message,
          sinceWallMs:
            [written, earlier]
              .flatMap((bag) => bag?.remarks ?? [])
              .find((remark) => remark.id === id && remark.message === message)?.sinceWallMs ??
            Math.round(since + wallOffset),
        })),
      };

/** A wait of an earlier life is remembered to the second: it is the same one when it began about then. */
const lastingSince = (earlier: UnitBag | null | undefined, id: string, sinceWallMs: number): number => {
  const before = earlier?.waits.find((wait) => wait.id === id)?.sinceWallMs;
  return before !== undefined && Math.abs(before - sinceWallMs) <= rememberedWithinMs ? before : sinceWallMs;
};
const rememberedWithinMs = 2_000;

/** How long somebody has been silent changes with every reading; that alone is no news. */
const sameRoster = (a: readonly UnitRecord[], b: readonly UnitRecord[]): boolean =>
  same(a.map(withoutSilence), b.map(withoutSilence));
const withoutSilence = ({ silentMs: _, ...rest }: UnitRecord): Omit<UnitRecord, 'silentMs'> => rest;

const departedOf = (settings: PeersSettings, { units, intent }: PeersState): UnitName | null =>
  units.known ? (units.value.find((record) => isDeparted(settings, intent, record))?.unit ?? null) : null;

const isDeparted = ({ self, departureGraceMs }: PeersSettings, intent: Intent | null, record: UnitRecord): boolean => {
  const { unit, presence, silentMs } = record;
  if (unit === self || presence === 'live') return false;
  const wish = departureOf(intent, record);
  return silentMs > departureGraceMs || (wish !== null && (presence === 'down' || wish.forced));
};
