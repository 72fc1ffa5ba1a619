/**
 * Moves the shares of one budget so that their sum never exceeds it: shrink before grow.
 *
 * Who must shrink is told to at once. Who may grow gets more only out of what is free, and what is free counts for every unit the
 * most that it may still hold: not what it was told last, but what it may have open until it has shown otherwise. So a change takes
 * two generations: one that shrinks, and when every live unit has taken it and holds no more than its share, one that grows.
 *
 * Invariant: whatever of this generation and earlier ones each unit has taken, the sum of what all may hold is within the budget.
 * Where a budget was lowered, it is no more than it was before, and nobody grows until it is within. At rest the shares are the exact
 * division.
 */
import { sum } from '../model/budget.ts';
import type { UnitName } from '../model/ids.ts';

/** One unit of the roster and one budget. Infinity: there is no limit. */
export interface Claim {
  readonly unit: UnitName;
  readonly instances: number;
  /** Its part by the exact division. */
  readonly exact: number;
  /** What the current generation lets it use. */
  readonly granted: number;
  /** What earlier generations let it use, where it had not shown to hold less when the current one was made; 0: nothing more. */
  readonly reserved: number;
  /** It has taken the current generation. */
  readonly isCurrent: boolean;
  /** Most that may be open there, in its own words; 0 when it never said. */
  readonly held: number;
  readonly isLive: boolean;
}

export interface Allotment {
  readonly unit: UnitName;
  readonly granted: number;
  /** 0: nothing beyond what is granted. */
  readonly reserved: number;
}

/** `isPatient`: live units that still hold too much are waited for before anybody grows. */
export const allot = (whole: number, claims: readonly Claim[], isPatient: boolean): readonly Allotment[] => {
  const isOver = mostHeld(claims) > whole;
  const shrunk = claims.map((claim): Standing => {
    // What a unit may hold by earlier generations it may have again, unless all of it together is too much.
    const most = isOver ? claim.granted : bound(claim);
    return { claim, granted: claim.exact <= most ? claim.exact : claim.granted };
  });
  const isAwaited = shrunk.some((standing) => standing.claim.isLive && isAbove(standing));
  const grown = isAwaited && isPatient ? shrunk : grow(whole, shrunk);
  return grown.map((standing) => ({
    unit: standing.claim.unit,
    granted: standing.granted,
    reserved: reservedFor(standing, isAwaited && isPatient),
  }));
};

/** Whoever must still give something up: what it may hold is more than it was granted. */
export const overdue = (claims: readonly Claim[], allotments: readonly Allotment[]): readonly Claim[] =>
  claims.filter((claim, index) => isAbove({ claim, granted: allotments[index]?.granted ?? 0 }));

/** Most that all of them together may hold. */
export const mostHeld = (claims: readonly Claim[]): number => sum(claims.map(mayHold));

/** The same once they have been told of these. */
export const mostAllotted = (claims: readonly Claim[], allotments: readonly Allotment[]): number =>
  sum(claims.map((claim, index) => level({ claim, granted: allotments[index]?.granted ?? 0 })));

interface Standing {
  readonly claim: Claim;
  readonly granted: number;
}

/** By the generations it may have taken. */
const bound = ({ isCurrent, granted, reserved }: Claim): number => (isCurrent ? granted : Math.max(granted, reserved));
const mayHold = (claim: Claim): number => Math.max(bound(claim), claim.held);
const isAbove = ({ claim, granted }: Standing): boolean => mayHold(claim) > granted;
const level = ({ claim, granted }: Standing): number => Math.max(mayHold(claim), granted);

/**
 * While others are waited for, what was reserved stays reserved: units that finish one by one are no reason for a generation each.
 */
const reservedFor = (standing: Standing, isAwaiting: boolean): number => {
  const { claim, granted } = standing;
  const most = granted < claim.granted ? mayHold(claim) : claim.reserved;
  return most > granted && (isAwaiting || isAbove(standing)) ? most : 0;
};

/** First everybody's least, because less than one connection for each instance serves nobody; then evenly. */
const grow = (whole: number, standings: readonly Standing[]): readonly Standing[] => {
  let free = whole - sum(standings.map(level));
  let grown = standings.map((standing): Standing => {
    const { claim } = standing;
    const least = Math.min(claim.instances, claim.exact);
    const costs = Math.max(0, least - level(standing));
    if (standing.granted >= least || costs > free) return standing;
    free -= costs;
    return { claim, granted: least };
  });
  for (;;) {
    const growing = grown.filter((standing) => standing.granted > 0 && standing.granted < standing.claim.exact);
    if (growing.length === 0 || free < 0) return grown;
    const before = grown;
    let each = Math.floor(free / growing.length);
    let rest = free % growing.length;
    grown = grown.map((standing) => {
      if (!growing.includes(standing)) return standing;
      const extra = each + (rest > 0 ? 1 : 0);
      rest -= rest > 0 ? 1 : 0;
      const granted = Math.min(standing.claim.exact, level(standing) + extra);
      free -= Math.max(0, granted - level(standing));
      return granted > standing.granted ? { claim: standing.claim, granted } : standing;
    });
    if (grown.every((standing, index) => standing === before[index])) return grown;
  }
};
