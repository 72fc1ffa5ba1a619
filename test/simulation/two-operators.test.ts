import { expect, it } from 'vitest';
import type { ChangeOutcome } from '../../src/actors/model/change.ts';
import type { Options } from '../../src/actors/model/intent.ts';
import { Fleet, type Unit } from './kit-fleet.ts';

const askAt = (unit: Unit | undefined, author: string, options: Options, expected: number): void => {
  const about = { request: author, author, reason: '', wall: unit?.clock.wall() ?? (0 as never) };
  unit?.send(['config', { type: 'changeAsked', change: { type: 'setOptions', options }, expected, ...about }]);
};
const only = <K extends ChangeOutcome['kind']>(answers: readonly ChangeOutcome[], kind: K) =>
  answers.filter((answer): answer is Extract<ChangeOutcome, { kind: K }> => answer.kind === kind);

it.each(Array.from({ length: 12 }, (_, seed) => seed))(
  'of two operators who change what they both looked at, one is heard and the other learns what changed (seed %i)',
  async (seed) => {
    const fleet = new Fleet(seed, { delayMs: [0.2, 40] });
    for (const number of [0, 1, 2]) await fleet.start(number);
    await fleet.world.runAsync(2_000);
    const wishes: Readonly<Record<string, Options>> = {
      alice: { query_timeout: 5 },
      bob: { pool_mode: 'transaction' },
    };
    const [first, second, third] = fleet.units;
    // Each at a unit of their own, or both at one.
    askAt(first, 'alice', wishes['alice'] ?? {}, 0);
    askAt(seed % 3 === 0 ? first : second, 'bob', wishes['bob'] ?? {}, 0);
    await fleet.world.runAsync(3_000);

    const intent = fleet.hub.store.intent?.value;
    const winner = intent?.author ?? '';
    expect(intent).toMatchObject({ version: 1, options: wishes[winner] });
    expect(only(fleet.answers, 'accepted')).toEqual([{ kind: 'accepted', version: 1 }]);
    const [key = '', after = null] = Object.entries(wishes[winner] ?? {})[0] ?? [];
    const change = { options: [{ key, before: null, after }], backends: [], clients: [], departures: [] };
    expect(only(fleet.answers, 'moved')).toEqual([
      { kind: 'moved', version: 1, by: winner, at: intent?.at, since: change },
    ]);

    // Who looks again is heard at any unit, and nothing is lost.
    const loser = winner === 'alice' ? 'bob' : 'alice';
    askAt(third, loser, wishes[loser] ?? {}, 1);
    await fleet.world.runAsync(3_000);
    expect(fleet.hub.store.intent?.value).toMatchObject({
      version: 2,
      options: { ...wishes['alice'], ...wishes['bob'] },
    });
    expect(fleet.answers).toHaveLength(3);
  },
);

it('a unit that has not seen what was looked at says so, and one that has not forgotten tells the sum of it', async () => {
  const fleet = new Fleet(7);
  const unit = await fleet.start(0);
  await fleet.world.runAsync(2_000);
  for (let version = 0; version < 20; version += 1) {
    askAt(unit, 'alice', { query_timeout: version + 1 }, version);
    await fleet.world.runAsync(500);
  }
  expect(only(fleet.answers, 'accepted')).toHaveLength(20);
  askAt(unit, 'bob', { pool_mode: 'transaction' }, 2);
  askAt(unit, 'bob', { pool_mode: 'transaction' }, 17);
  await fleet.world.runAsync(500);
  expect(only(fleet.answers, 'moved').map(({ since }) => since)).toEqual([
    null,
    { options: [{ key: 'query_timeout', before: 17, after: 20 }], backends: [], clients: [], departures: [] },
  ]);
});
