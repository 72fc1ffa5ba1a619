import { afterEach, beforeEach, expect, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { ComposeFleet, isActive } from '../support/compose-fleet.ts';
import { keepWords } from '../support/kept-words.ts';

let fleet: ComposeFleet;
beforeEach(async () => {
  fleet = await ComposeFleet.create();
});
afterEach(async ({ task: { name, result } }) => {
  if (result?.state === 'fail') keepWords(name, await fleet.words());
  await fleet[Symbol.asyncDispose]();
});

/** A log is all that a service has to say before it can answer. */
const untilSaid = (service: string, what: RegExp): Promise<void> =>
  expect.poll(() => fleet.compose('logs', '--no-color', service), { timeout: 30_000, interval: 500 }).toMatch(what);

const orders = [
  {
    what: 'the store last',
    first: ['secrets', 'client', 'operator', 'postgres', 'postgres-replica', 'haproxy', 'unit'],
    last: 'valkey',
    meanwhile: () => untilSaid('unit', /getaddrinfo ENOTFOUND valkey.*no connection to the store/),
  },
  {
    what: 'the database last',
    first: ['secrets', 'valkey', 'unit', 'haproxy', 'operator', 'client', 'postgres-replica'],
    last: 'postgres',
    meanwhile: async () => {
      const { relations, units } = await fleet.until('status says what is away', ({ relations }) =>
        relations.some(({ name, state }) => name === 'main' && state === 'blocked'),
      );
      expect(relations).toContainEqual(expect.objectContaining({ name: 'app', state: 'waiting' }));
      const [said] = units.flatMap(({ waits }) => waits.filter(({ id }) => id === 'backend:main'));
      expect(said?.message).toMatch(/^backend "main" is away: no primary within reach: postgres:5432: getaddrinfo/);
    },
  },
  {
    what: 'the balancer first, and units last',
    first: ['secrets', 'haproxy', 'client', 'operator', 'valkey', 'postgres-replica', 'postgres'],
    last: 'unit',
    meanwhile: () => untilSaid('operator', /the unit does not answer: https:\/\/unit:8443: there is no such host/),
  },
  {
    what: 'units first, and what all of them read last',
    first: ['unit', 'haproxy', 'client', 'operator', 'postgres-replica', 'postgres', 'valkey'],
    last: 'secrets',
    meanwhile: () => untilSaid('unit', /cannot read the store's password from \/keys\/store-password/),
  },
] as const;

it.each(orders)('ends healthy when it is started one by one, $what', async ({ first, last, meanwhile }) => {
  for (const service of first) await fleet.startAlone(service);
  await meanwhile();
  await fleet.startAlone(last);
  await fleet.untilHealthy();
  const status = await fleet.until('all are active', (one) => isActive(one, 3));
  expect(status.relations.map(({ name, state }) => `${name} ${state}`).toSorted()).toEqual([
    'app active',
    'main active',
  ]);
  await using clients = await Accountant.start(fleet);
  await clients.untilWritten(50);
  expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
});

it('makes a PostgreSQL anew that was interrupted while it was made', async () => {
  await fleet.prepare('postgres', 'postgres', 'mkdir cluster && echo 17 >cluster/PG_VERSION && touch unfinished');
  await fleet.up();
  await fleet.until('all are active', (one) => isActive(one, 3));
  await using clients = await Accountant.start(fleet);
  await clients.untilWritten(20);
  expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
});
