/**
 * The charm through its own dispatch in a Juju model: units start, relations come, containers are away and others lead in any order, and what that
 * comes to is the same.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/actors/kit/random.ts';
import { endStateOf } from '../support/charm-end-state.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { countedCredentials } from '../support/counted-credentials.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';

const isLong = process.env['TROUPE_TEST_LONG'] === '1';
const seeds = Array.from({ length: isLong ? 400 : 20 }, (_, index) => index + 1);

const v1Requests = ['f89fb726a8db4598', '5da82289cbe58ea8'].map((id, index) => ({
  resource: `newer${index}`,
  'request-id': id,
  salt: 'aFooC5VZJMkZq9A4',
}));

/** They come in this order, because Juju numbers them; how many hooks run between them is chance. */
const relations: readonly ((fleet: CharmFleet) => void)[] = [
  (fleet) => fleet.relateBackend(),
  (fleet) => fleet.relateClient('orders'),
  (fleet) => fleet.relateClient('plain', { database: 'plain', 'requested-secrets': '' }),
  (fleet) => fleet.relateClient('newer', { version: 'v1', requests: JSON.stringify(v1Requests) }),
  (fleet) => fleet.relateLegacy('legacy', 'db', 'older'),
];

interface Life {
  readonly end: unknown;
  /** Hooks of the units, in the order in which they ran. */
  readonly hooks: string;
  readonly leader: number;
}

const livedIn = async (seed: number): Promise<Life> => {
  const random = new Random(seed);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  await using fleet = await CharmFleet.open(seed, 3, {
    clock: createHurriedClock(5_000),
    credentials: countedCredentials(),
  });
  const { juju } = fleet;
  const late = [0, 1, 2].filter(() => random.chance(0.3)).map((number) => fleet.unitName(number));
  for (const unit of late) juju.cutOff.add(unit);
  const away = random.chance(0.5) ? below(3) : null;
  if (away !== null) fleet.containerGoes(away);
  const acts = [
    ...relations,
    ...late.map((unit) => () => juju.cutOff.delete(unit)),
    ...(away === null ? [] : [() => fleet.containerComes(away)]),
    ...(random.chance(0.5) ? [() => juju.moveLeadership(application, fleet.unitName(below(3)))] : []),
  ];
  // What is no relation may come at any time between them.
  const order = acts
    .map((act, index) => ({ act, at: index < relations.length ? index : random.next() * relations.length }))
    .toSorted((a, b) => a.at - b.at);
  for (const { act } of order) {
    await fleet.steps(random.chance(0.3) ? 0 : below(25));
    act(fleet);
  }
  await fleet.settle();
  const leader = fleet.leader();
  expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
  expect(fleet.statuses).toEqual(['active', 'active', 'active']);
  expect(fleet.lease().holder).toBe(fleet.unitName(leader));
  const hooks = juju.history
    .filter(({ unit }) => unit.startsWith(`${application}/`))
    .map(({ unit, hook }) => `${unit} ${hook}`)
    .join();
  // Who led last is no difference.
  juju.moveLeadership(application, fleet.unitName(0));
  await fleet.settle();
  return { end: endStateOf(fleet), hooks, leader };
};

describe('three units with a backend and clients of all kinds', () => {
  it(`come to the same in ${seeds.length} orders of their hooks`, { timeout: 20_000 * seeds.length }, async () => {
    const lives: Life[] = [];
    for (const seed of seeds) lives.push(await livedIn(seed));
    const [first] = lives;
    for (const [index, { end }] of lives.entries()) expect(end, `seed ${seeds[index]}`).toEqual(first?.end);
    expect(new Set(lives.map(({ hooks }) => hooks)).size).toBe(seeds.length);
    expect(new Set(lives.map(({ leader }) => leader)).size).toBe(3);
  });
});
