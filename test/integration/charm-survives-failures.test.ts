import { describe, expect, it } from 'vitest';
import { endStateOf } from '../support/charm-end-state.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { countedCredentials } from '../support/counted-credentials.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';

/**
 * `before` and `after`: one call of a hook tool fails, without its effect or with it. `dies`: the dispatch is gone from that call on,
 * whatever it has done to PostgreSQL and PgBouncers by then. `effect`: it is gone when it has done something to one of them, and has
 * not heard of it.
 */
type Failure = 'before' | 'after' | 'dies' | 'effect';

interface Story {
  /** Calls of hook tools by our charm, and what it did to PostgreSQL and PgBouncers: places to fail at. */
  readonly calls: number;
  readonly effects: number;
  /** Where it failed. */
  readonly failed: string;
  readonly states: readonly unknown[];
}

/** A fleet is deployed, serves, grows, changes leader and options, loses a client and shrinks, and fails at one place. */
const story = async (seed: number, failure: Failure, at: number | null): Promise<Story> => {
  let [calls, effects] = [0, 0];
  let failed = '';
  let dead: string | null = null;
  const isPlace = (count: number, kind: 'call' | 'effect'): boolean =>
    count - 1 === at && (kind === 'effect') === (failure === 'effect');
  const effectDone = (hook: string): void => {
    effects += 1;
    if (!isPlace(effects, 'effect')) return;
    failed = hook;
    throw new Error('this dispatch is cut off here');
  };
  await using fleet = await CharmFleet.open(seed, 2, {
    clock: createHurriedClock(5_000),
    credentials: countedCredentials(),
    effectDone,
  });
  const { juju } = fleet;
  juju.faultAt = ({ unit, hook, index, tool, args }) => {
    if (!unit.startsWith(`${application}/`)) return null;
    const dispatch = `${unit} ${hook}`;
    if (dead === dispatch && index > 0) return 'before';
    dead = null;
    calls += 1;
    if (!isPlace(calls, 'call')) return null;
    failed = `${dispatch}: ${tool} ${args.join(' ')}`;
    if (failure === 'dies') dead = dispatch;
    return failure === 'after' ? 'after' : 'before';
  };

  fleet.relateBackend();
  fleet.relateClient('orders');
  const reports = fleet.relateClient('reports');
  await fleet.settle();
  const served = endStateOf(fleet);

  juju.configure(application, { pool_mode: 'transaction' });
  juju.scale(application, 3);
  const other = juju.unitsOf(application).find((unit) => unit !== juju.leaderOf(application)) ?? null;
  juju.moveLeadership(application, other);
  await fleet.settle();
  const grown = endStateOf(fleet);

  juju.removeRelation(reports);
  juju.scale(application, 1);
  await fleet.settle();
  return { calls, effects, failed, states: [served, grown, endStateOf(fleet)] };
};

/** Each story takes a second of a processor: some of the thousand places, others with each seed. */
const places = 8;
const failures: readonly Failure[] = ['before', 'after', 'dies', 'effect'];
const longestMs = 600_000;

describe('a hook that fails and is run again', () => {
  it.each([1, 2, 3])(
    'leaves what it would have left at once, wherever it failed (seed %i)',
    async (seed) => {
      const whole = await story(seed, 'before', null);
      const active = { status: { word: 'active' } };
      expect(whole.states).toMatchObject([
        { units: [active, active] },
        { units: [active, active, active] },
        { units: [active] },
      ]);
      for (let place = 0; place < places; place += 1) {
        const failure = failures[place % failures.length] ?? 'before';
        const of = failure === 'effect' ? whole.effects : whole.calls;
        const at = Math.floor(((place + seed / 4) / places) * of);
        const told = await story(seed, failure, at);
        expect(told.failed).not.toBe('');
        expect(told.states, `${failure} at ${at} of ${of}, ${told.failed}`).toEqual(whole.states);
      }
    },
    longestMs,
  );
});
