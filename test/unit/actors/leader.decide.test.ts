import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWith, initial, type LeaderEffect, type LeaderState } from '../../../src/actors/leader/decide.ts';
import type { LeaderMessage } from '../../../src/actors/protocol.ts';
import { epoch, nonce, snapshotOf, unit, unitRecordOf, wall } from '../../support/builders.ts';

const settings = { self: unit(0), nonce: nonce('n0'), ttlMs: 5_000, renewMs: 1_500, marginMs: 500, jitterMs: 50 };
const decide = decideWith(settings);
const free = { type: 'observed', snapshot: snapshotOf() } as const;
const heldBy = (number: number, freeInMs: number, at = 3) =>
  ({
    type: 'observed',
    snapshot: snapshotOf({ lease: { holder: unit(number), nonce: nonce(`n${number}`), epoch: epoch(at), freeInMs } }),
  }) as const;
const tick = { type: 'ticked', wall: wall(0) } as const;

/** Feeds messages at given times and collects what was decided. */
const run = (history: readonly (readonly [now: number, message: LeaderMessage])[]) => {
  let state: LeaderState = initial;
  const effects: LeaderEffect[] = [];
  const told: (number | null)[] = [];
  for (const [now, message] of history) {
    const decided = decide(state, message, now);
    state = decided.state;
    effects.push(...(decided.effects ?? []));
    for (const [to, fact] of decided.tell ?? [])
      if (to === 'config' && fact.type === 'leadershipTold') told.push(fact.leadership?.epoch ?? null);
  }
  return { state, effects, told };
};
const granted = (askedAt: number, number = 1): LeaderMessage => ({
  type: 'acquireAnswered',
  askedAt,
  result: { kind: 'granted', epoch: epoch(number) },
});

describe('leader', () => {
  it('asks for a free lease at once, and leads when it is granted', () => {
    const { effects, told, state } = run([
      [0, free],
      [5, granted(0)],
    ]);
    expect(effects.map(({ type }) => type)).toEqual(['acquire']);
    expect(told).toEqual([1]);
    expect(state.leadership?.until).toBe(4_500);
  });

  it('does not ask for a held lease before it would end', () => {
    const { effects } = run([
      [0, heldBy(1, 3_000)],
      [3_000, tick],
      [3_049, tick],
      [3_050, tick],
    ]);
    expect(effects.map(({ type }) => type)).toEqual(['acquire']);
  });

  it('asks again at once for a lease that is its own by nonce, because the answer was lost', () => {
    const own = snapshotOf({ lease: { holder: unit(0), nonce: nonce('n0'), epoch: epoch(4), freeInMs: 4_000 } });
    expect(run([[0, { type: 'observed', snapshot: own }]]).effects).toHaveLength(1);
  });

  it('drops a grant that was heard too late', () => {
    const { told, state } = run([
      [0, free],
      [4_500, granted(0)],
    ]);
    expect(told).toEqual([]);
    expect(state.leadership).toBeNull();
  });

  it('renews in time and steps down by itself when no answer comes', () => {
    const { effects, told } = run([
      [0, free],
      [5, granted(0)],
      [1_500, tick],
      [1_510, { type: 'leaseUnavailable', askedAt: 1_500 }],
      [1_800, tick],
      [4_499, tick],
      [4_500, tick],
    ]);
    expect(effects.map(({ type }) => type)).toEqual(['acquire', 'renew', 'renew']);
    expect(told).toEqual([1, null]);
  });

  it('steps down when the store shows a newer epoch', () => {
    expect(
      run([
        [0, free],
        [5, granted(0)],
        [100, heldBy(1, 5_000, 2)],
      ]).told,
    ).toEqual([1, null]);
  });

  it('hands over to the freshest live peer when it stops, and never claims again', () => {
    const units = [unitRecordOf(0), unitRecordOf(1, { silentMs: 900 }), unitRecordOf(2, { silentMs: 10 })];
    const { effects, told } = run([
      [0, { type: 'observed', snapshot: snapshotOf({ units }) }],
      [5, granted(0)],
      [10, { type: 'hooked', hook: { type: 'stop' } }],
      [20, { type: 'released' }],
      [30, free],
      [9_000, tick],
    ]);
    expect(effects.map(({ type }) => type)).toEqual(['acquire', 'release']);
    expect(effects[1]).toMatchObject({ successor: unit(2) });
    expect(told).toEqual([1, null]);
  });

  it('tells that it does not lead as soon as it knows that somebody else does', () => {
    expect(
      run([
        [0, free],
        [5, { type: 'acquireAnswered', askedAt: 0, result: { kind: 'held', by: unit(1), freeInMs: 2_000 } }],
      ]).told,
    ).toEqual([null]);
  });

  const anyMessage = (now: number): fc.Arbitrary<LeaderMessage> =>
    fc.oneof(
      fc.constant<LeaderMessage>(tick),
      fc.constant<LeaderMessage>(free),
      fc
        .record({
          by: fc.integer({ min: 0, max: 2 }),
          left: fc.integer({ min: 0, max: 6_000 }),
          at: fc.integer({ min: 1, max: 9 }),
        })
        .map(({ by, left, at }): LeaderMessage => heldBy(by, left, at)),
      fc.integer({ min: 0, max: now }).map((askedAt): LeaderMessage => ({ type: 'leaseUnavailable', askedAt })),
      fc.integer({ min: 0, max: now }).map((askedAt): LeaderMessage => granted(askedAt, askedAt + 1)),
      fc
        .integer({ min: 0, max: now })
        .map((askedAt): LeaderMessage => ({ type: 'renewAnswered', askedAt, result: { kind: 'renewed' } })),
      fc.constant<LeaderMessage>({ type: 'hooked', hook: { type: 'updateStatus' } }),
    );

  it('never leads after `until`, never asks two questions at once, and a message fed twice asks nothing more', () => {
    const histories = fc.array(fc.integer({ min: 0, max: 800 }), { maxLength: 60 }).chain((gaps) => {
      let now = 0;
      return fc.tuple(...gaps.map((gap) => anyMessage((now += gap)).map((message) => [now, message] as const)));
    });
    fc.assert(
      fc.property(histories, (history) => {
        let state = initial;
        let open = 0;
        let now = 0;
        for (const [at, message] of history) {
          now = Math.max(now, at);
          const before = state;
          const decided = decide(before, message, now);
          const answered = {
            acquireAnswered: 'acquire',
            renewAnswered: 'renew',
            leaseUnavailable: before.asking?.what,
          } as const;
          const what = message.type in answered ? answered[message.type as keyof typeof answered] : undefined;
          const answers =
            'askedAt' in message && before.asking?.askedAt === message.askedAt && before.asking.what === what;
          if (answers) open -= 1;
          open += decided.effects?.length ?? 0;
          expect(open).toBeLessThanOrEqual(1);
          state = decided.state;
          if (state.leadership !== null) expect(now).toBeLessThan(state.leadership.until);
          const again = decide(state, message, now);
          if (state.asking !== null) expect(again.effects ?? []).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
