import type { FleetStatus, UnitStatus } from '../../actors/model/status.ts';
import { headlineOf } from './waits-text.ts';

/** How far the fleet is with an intent. */
export type Standing =
  /** `away`: units that do not run now and take it when they are back. */
  | { readonly kind: 'verified'; readonly generation: number | null; readonly away: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: string }
  /** Names what it depends on: the leader, or the units that lag. */
  | { readonly kind: 'pending'; readonly on: string };

export const standingOf = ({ generation, leader, units }: FleetStatus, version: number): Standing => {
  const { published, good, intentVersion, refused } = generation;
  if (version === 0) return { kind: 'verified', generation: published, away: [] };
  if (refused !== null && refused.intentVersion >= version) {
    const which =
      refused.intentVersion === version
        ? 'the fleet refused it'
        : 'the fleet refused a later change and this one with it';
    return { kind: 'refused', reason: `${which}: ${refused.reason}; it stays on generation ${good ?? 'none'}` };
  }
  if (intentVersion === null || intentVersion < version) return { kind: 'pending', on: publisher(leader, units) };
  if (good === published) return { kind: 'verified', generation: published, away: awayFrom(units, published) };
  const lagging = laggards(units, published);
  return {
    kind: 'pending',
    on: lagging.length === 0 ? 'the leader to confirm what the units say' : lagging.map(wordsOf).join(', '),
  };
};

const publisher = (leader: FleetStatus['leader'], units: readonly UnitStatus[]): string => {
  if (leader === null) return 'a leader: nobody leads';
  const unit = units.find((one) => one.unit === leader.unit);
  const wait = unit === undefined ? undefined : headlineOf(unit);
  return `${leader.unit} to publish it${wait === undefined ? '' : ` (${wait.kind}: ${wait.message})`}`;
};

const laggards = (units: readonly UnitStatus[], published: number | null): readonly UnitStatus[] =>
  units.filter((unit) => !isAway(unit) && unit.generation.applied !== published);

/** Those that the leader did not wait for. */
export const awayFrom = (units: readonly UnitStatus[], published: number | null): readonly string[] =>
  units.filter((unit) => isAway(unit) && unit.generation.applied !== published).map(({ unit }) => unit);

const isAway = ({ status }: UnitStatus): boolean => status === 'down' || status === 'unknown';

export const verifiedBy = (away: readonly string[]): string =>
  away.length === 0 ? 'verified by every unit' : `verified by every live unit (away: ${away.join(', ')})`;

const wordsOf = ({ unit, status, message }: UnitStatus): string =>
  message === '' ? unit : `${unit} (${status}: ${message})`;
