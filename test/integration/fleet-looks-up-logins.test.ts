import { expect, it } from 'vitest';
import { allInstances, unitCount, useFleet } from '../support/fleet-under-test.ts';
import { queryPostgres, queryThrough } from '../support/fleet-query.ts';

const fleet = useFleet({ againMs: 6_000 });
const units = Array.from({ length: unitCount }, (_, unit) => unit);
const login = (username: string, password = 'p') => ({ username, password, database: 'making' });
const who = 'select session_user as who';
const lettingIn = (username: string, password?: string) =>
  Promise.all(
    units.map((unit) =>
      queryThrough(fleet(), unit, login(username, password), who).then(
        ([row]) => row?.['who'],
        (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
      ),
    ),
  );
const refused = units.map(() => expect.stringMatching(/authentication failed|no such user|bouncer config error/));
const looksUp = async (): Promise<boolean> => {
  const files = allInstances.map(([unit, instance]) => fleet().instanceFile(unit, instance, 'pgbouncer.ini'));
  return (await Promise.all(files)).every((ini) => /^making = .*auth_user='pgbouncer_maker_\d+_lookup'/m.test(ini));
};

it('a client with createrole has its credentials, and is told what is missing for the logins that it makes', async () => {
  await fleet().change({
    type: 'addClient',
    name: 'maker',
    database: 'making',
    backend: null,
    extraUserRoles: ['createrole'],
  });
  await fleet().credentials('maker');
  const { message } = await fleet()
    .watch(0)
    .until(({ units: all }) => all.some(({ waits }) => waits.some(({ message: its }) => its.includes('pg_authid'))))
    .then(
      ({ units: all }) =>
        all.flatMap(({ waits }) => waits).find(({ message: its }) => its.includes('pg_authid')) ?? { message: '' },
    );
  expect(message).toMatch(
    /as a superuser run in database "making": GRANT SELECT ON pg_catalog\.pg_authid TO "?troupe_admin/,
  );
});

it('a login that it makes logs in through every unit, as long as it may', async () => {
  await queryPostgres(fleet(), 'grant select on pg_authid to troupe_admin', 'making');
  const maker = await fleet().credentials('maker');
  await expect.poll(looksUp, { timeout: 30_000 }).toBe(true);
  await fleet().everyoneActive();
  await queryThrough(fleet(), 0, maker, `create role child login password 'p' in role troupe_client_making`);
  await queryThrough(fleet(), 1, maker, `create role brief login password 'p' in role troupe_client_making`);
  await queryPostgres(fleet(), `create role mighty superuser login password 'p' in role troupe_client_making`);
  await queryPostgres(fleet(), `create role stranger login password 'p'`);
  expect(await lettingIn('child')).toEqual(units.map(() => 'child'));
  expect(await lettingIn('brief')).toEqual(units.map(() => 'brief'));
  await queryThrough(fleet(), 2, maker, `alter role brief valid until '2020-01-01'`);
  for (const username of ['brief', 'mighty', 'stranger']) expect(await lettingIn(username), username).toEqual(refused);
  expect(await lettingIn('child', 'wrong')).toEqual(refused);
});

it('somebody who breaks the lookup has it mended', async () => {
  await queryPostgres(fleet(), 'drop function troupe.lookup(text)', 'making');
  await expect.poll(() => lettingIn('child'), { timeout: 30_000, interval: 500 }).toEqual(units.map(() => 'child'));
});

it('is over with the relation, and leaves nothing in PostgreSQL but the login of the client', async () => {
  await fleet().change({ type: 'removeRelation', name: 'maker' });
  await expect
    .poll(() => queryPostgres(fleet(), `select rolname from pg_roles where rolname ~ 'maker|troupe_client'`), {
      timeout: 30_000,
    })
    .toEqual([]);
  await fleet().everyoneActive();
  expect(await lettingIn('child')).toEqual(units.map(() => expect.any(String)));
  expect(await lettingIn('child')).not.toContain('child');
  expect(await queryPostgres(fleet(), `select from pg_namespace where nspname = 'troupe'`, 'making')).toEqual([]);
  expect(await queryPostgres(fleet(), `select rolname from pg_roles where rolname = 'child'`)).toHaveLength(1);
});
