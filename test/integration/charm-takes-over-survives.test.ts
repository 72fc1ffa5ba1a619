import { expect, it } from 'vitest';
import { Endurance } from '../support/charm-endures.ts';
import { ancestorCharm } from '../support/juju/ancestor.ts';

const longestMs = 600_000;

it.each([1, 2])(
  'a hook that fails in a refresh from the charm before leaves what it would have left at once (seed %i)',
  async (seed) => {
    let isRefreshed = false;
    await using life = await Endurance.open(seed, 2, (place) => isRefreshed && place % 40 === seed, ancestorCharm());
    const { fleet } = life;
    const related = { orders: 0, legacy: 0 };
    await life.act(() => {
      fleet.relateBackend();
      related.orders = fleet.relateClient('orders');
      fleet.relateClient('plain', { database: 'plain', 'requested-secrets': '' });
      related.legacy = fleet.relateLegacy('legacy', 'db', 'older');
      fleet.relateLegacy('admin', 'db-admin', 'older');
    });
    const before = [related.orders, related.legacy].map((id) => fleet.answerTo(id)['password']);
    expect(before).toEqual([related.orders, related.legacy].map((id) => `kept-of-${id}`));
    isRefreshed = true;
    await life.act(() => fleet.refresh());
    expect(fleet.statuses).toEqual(['active', 'active']);
    expect([related.orders, related.legacy].map((id) => fleet.answerTo(id)['password'])).toEqual(before);
    await life.act(() => fleet.juju.removeRelation(related.orders));
    for (const { place, expected, found } of life.differences) expect(found, place).toEqual(expected);
    expect(life.tried).toBeGreaterThan(20);
    expect(life.count.effect).toBeGreaterThan(0);
  },
  longestMs,
);
