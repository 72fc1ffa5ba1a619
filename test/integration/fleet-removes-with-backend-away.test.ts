import { expect, it } from 'vitest';
import { queryPostgres } from '../support/fleet-query.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';

const fleet = useFleet({ againMs: 6_000 });

it('a client removed while PostgreSQL is stopped goes when it is back, though the leader was lost meanwhile', async () => {
  await fleet().change({ type: 'addClient', name: 'second', database: 'second', backend: 'main', extraUserRoles: [] });
  const { username } = await fleet().credentials('second');
  await fleet().everyoneActive();
  expect(await rolesNamed(username)).toEqual([{ rolname: username }]);

  await fleet().postgres.kill();
  await fleet().change({ type: 'removeRelation', name: 'second' });

  const status = await fleet()
    .watch(0)
    .until(({ relations }) => {
      const second = relations.find(({ name }) => name === 'second');
      return second?.life === 'dying' && /backend "main".*no primary within reach/.test(second.message);
    });
  const leader = status.units.find(({ unit }) => unit === status.leader?.unit);
  const survivor = status.units.find(({ unit }) => unit !== leader?.unit)?.number ?? 0;
  signalTo(leader?.pid, 'SIGKILL');
  const led = await fleet()
    .watch(survivor)
    .until(({ leader: now }) => (now?.epoch ?? 0) > (status.leader?.epoch ?? 0));
  expect(led.relations.find(({ name }) => name === 'second')).toMatchObject({ life: 'dying' });

  await fleet().postgres.startAgain();
  const after = await fleet().everyoneActive(({ relations }) => relations.every(({ name }) => name !== 'second'));
  expect(after.relations.map(({ name, life }) => [name, life])).toEqual([
    ['main', 'alive'],
    ['first', 'alive'],
  ]);
  expect(await rolesNamed(username)).toEqual([]);
  expect(await queryPostgres(fleet(), "select datname from pg_database where datname = 'second'")).toHaveLength(1);
}, 150_000);

const rolesNamed = (username: string) =>
  queryPostgres(fleet(), `select rolname from pg_roles where rolname = '${username}'`);
