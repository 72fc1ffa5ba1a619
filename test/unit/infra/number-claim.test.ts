import { describe, expect, it } from 'vitest';
import type { Application, Nonce, UnitName } from '../../../src/actors/model/ids.ts';
import { claimUnit } from '../../../src/infra/files/number-claim.ts';
import { claimNumber } from '../../../src/infra/memory/backplane-members.ts';
import { step } from '../../../src/infra/memory/backplane-step.ts';
import { emptyStore, type MemoryStore, seatOf } from '../../../src/infra/memory/backplane-store.ts';

const application = 'pgbouncer' as Application;
const unit = (number: number): UnitName => `pgbouncer/${number}` as UnitName;
const joined = (store: MemoryStore, number: number, now: number): MemoryStore => {
  const seat = seatOf({ unit: unit(number), nonce: `n${number}` as Nonce, boot: 1, instances: 1 });
  return step(store, seat, { type: 'observe' }, now).store;
};

describe('claiming a number', () => {
  /** Asks the store in turns; between them the world goes on. */
  const claims = async (
    start: MemoryStore,
    preferred: readonly number[],
    meanwhile: (store: MemoryStore, now: number) => MemoryStore,
    watched: readonly number[] = [],
  ) => {
    let store = start;
    let now = 0;
    let pauses = 0;
    const claimed = await claimUnit(
      async (takeNew) => {
        const [next, answer] = claimNumber(
          store,
          { application, nonce: 'me' as Nonce, instances: 1, preferred, watched, takeNew },
          now,
        );
        store = next;
        // A unit that is watched says elsewhere that it lives.
        if (answer.kind === 'claimed' || watched.length === 0) return answer;
        return { kind: 'lookAgain', heardAt: new Map(answer.heardAt.entries().map(([one, at]) => [one, at + now])) };
      },
      async () => {
        pauses += 1;
        now += 250;
        store = meanwhile(store, now);
      },
    );
    return { claimed, pauses, now };
  };
  const nothing = (store: MemoryStore): MemoryStore => store;

  it('takes the lowest free one when there are no folders', async () => {
    const store = [0, 1, 3].reduce((before, number) => joined(before, number, 0), emptyStore());
    expect(await claims(store, [], nothing)).toMatchObject({ claimed: unit(2), pauses: 0 });
  });

  it('takes the first folder that nobody holds', async () => {
    const store = joined(emptyStore(), 4, 0);
    expect(await claims(store, [4, 6], nothing)).toMatchObject({ claimed: unit(6), pauses: 0 });
  });

  it('waits until the silence of a killed process is long enough, and takes its number', async () => {
    const { claimed, now } = await claims(joined(emptyStore(), 0, 0), [0], nothing);
    expect(claimed).toBe(unit(0));
    expect(now).toBeGreaterThan(4_000);
  });

  it('leaves a number to whoever lives elsewhere, however long it is silent here, unless it was given up', async () => {
    const silent = joined(emptyStore(), 0, -3_600_000);
    expect(await claims(silent, [0], nothing, [0])).toMatchObject({ claimed: unit(1), pauses: 1 });
    expect(await claims(emptyStore(), [0], nothing, [0])).toMatchObject({ claimed: unit(1), pauses: 1 });
    const seat = seatOf({ unit: unit(0), nonce: 'n0' as Nonce, boot: 1, instances: 1 });
    const { store: down } = step(joined(emptyStore(), 0, 0), seat, { type: 'leave', how: 'down' }, 0);
    expect(await claims(down, [0], nothing, [0])).toMatchObject({ claimed: unit(0), pauses: 0 });
  });

  it('takes of several that are free the one that lived last', async () => {
    const store = [5, 7, 6].reduce((before, number) => joined(before, number, number * 1_000 - 60_000), emptyStore());
    expect(await claims(store, [5, 6, 7], nothing)).toMatchObject({ claimed: unit(7), pauses: 0 });
  });

  it('takes a new one as soon as each holder was seen to live on', async () => {
    const store = joined(joined(emptyStore(), 0, 0), 1, 0);
    const beats = (before: MemoryStore, now: number): MemoryStore => {
      const first = now >= 500 ? joined(before, 0, now) : before;
      return now >= 1_000 ? joined(first, 1, now) : first;
    };
    expect(await claims(store, [0, 1], beats)).toMatchObject({ claimed: unit(2), now: 1_000 });
  });

  it('gives the same number when the answer was lost', () => {
    const ask = { application, nonce: 'me' as Nonce, instances: 1, preferred: [], watched: [], takeNew: true };
    const [store, first] = claimNumber(emptyStore(), ask, 0);
    const [again, second] = claimNumber(store, ask, 0);
    expect(second).toEqual(first);
    expect(again).toBe(store);
  });
});
