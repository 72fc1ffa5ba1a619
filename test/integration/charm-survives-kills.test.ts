/**
 * The packed charm in pods, with a real PostgreSQL and real PgBouncers: dispatches are killed, or told that a hook tool failed, in the
 * middle of what they do. What they leave in bags, files and PostgreSQL is what they would have left undisturbed.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/actors/kit/random.ts';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { endStateOnGround } from '../support/charm-ground/end-state.ts';
import { application } from '../support/charm-fleet.ts';
import type { Fault, FaultAt } from '../support/juju/hook-record.ts';
import { legacyRequirer, provider, requirer } from '../support/juju/played-charms.ts';
import { postgresServers, type RunningPostgres } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
const isLong = process.env['TROUPE_TEST_LONG'] === '1';

/** Each hook fails once, and not all of them: at some call, or at the first by which it says what it has done. */
class Trouble {
  readonly seen: { readonly hook: string; readonly tool: string; readonly fault: Fault }[] = [];
  readonly #random: Random;
  #plan: { readonly hook: string; readonly at: number; readonly fault: Fault } | null = null;
  /** They are run again next. */
  readonly #spared = new Set<string>();

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  readonly faultAt: FaultAt = ({ unit, hook, index, tool }) => {
    if (!unit.startsWith(`${application}/`) || tool === 'juju-log') return null;
    const dispatch = `${unit} ${hook}`;
    if (index === 0) this.#planFor(dispatch);
    const { at, fault } = this.#plan ?? { at: -1, fault: null };
    const isPlace = at === index || (at === atItsEnd && ends.has(tool));
    if (fault === null || !isPlace) return null;
    this.#plan = null;
    this.#spared.add(dispatch);
    this.seen.push({ hook: dispatch, tool, fault });
    return fault;
  };

  #planFor(hook: string): void {
    this.#plan = null;
    if (this.#spared.delete(hook) || !this.#random.chance(0.6)) return;
    const at = this.#random.chance(0.5) ? atItsEnd : Math.floor(this.#random.next() * 12);
    const fault = this.#random.pick(['killBefore', 'killAfter', 'before', 'after'] as const) ?? 'before';
    this.#plan = { hook, at, fault };
  }
}
const atItsEnd = -2;
const ends: ReadonlySet<string> = new Set(['status-set', 'relation-set', 'secret-add', 'state-set']);

const lifeOn = async (server: RunningPostgres, faultAt: FaultAt): Promise<readonly unknown[]> => {
  if (parts.kind === 'missing') throw new Error(parts.reason);
  await using ground = await CharmGround.open({ seed: 4, units: 2, server, parts });
  const { juju } = ground;
  juju.faultAt = faultAt;
  juju.deploy('postgresql', provider(ground.backend));
  juju.integrate(`${application}:backend-database`, 'postgresql:database');
  juju.deploy('orders', requirer({ database: 'orders' }));
  const orders = juju.integrate(`${application}:database`, 'orders:database');
  juju.deploy('legacy', legacyRequirer('ledger'));
  const legacy = juju.integrate(`${application}:db`, 'legacy:db');
  await ground.settle();
  expect(ground.statuses).toEqual(['active', 'active']);
  const { username = '', password = '' } = juju.secret(juju.bag(orders, application)['secret-user'] ?? '') ?? {};
  const [host = '', port = ''] = (juju.bag(orders, application)['endpoints'] ?? '').split(':');
  const login = { host, port, username, password, database: 'orders' };
  expect(await ground.query(login, 'select current_database()')).toBe('orders');
  const served = await endStateOnGround(ground, server);

  juju.configure(application, { pool_mode: 'transaction' });
  juju.removeRelation(legacy);
  await ground.settle();
  expect(ground.statuses).toEqual(['active', 'active']);
  expect(await ground.query(login, 'select current_database()')).toBe('orders');
  const changed = await endStateOnGround(ground, server);

  juju.removeApplication(application);
  await ground.settle();
  return [served, changed, await endStateOnGround(ground, server)];
};

if (parts.kind === 'missing' || postgres === undefined) {
  const why = parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here';
  it.skip(`the packed charm is not deployed: ${why}`, () => {});
} else {
  const [, start] = postgres;
  describe(`the packed charm with PgBouncer ${parts.version}`, { timeout: 900_000 }, () => {
    it.each(isLong ? [1, 2, 3, 4, 5, 6] : [1])(
      'comes to the same when its dispatches are killed (seed %i)',
      async (seed) => {
        const undisturbed = await start('own');
        const calm = await lifeOn(undisturbed, () => null);
        const trouble = new Trouble(seed);
        const troubled = await lifeOn(await start('own'), trouble.faultAt);
        const places = JSON.stringify(trouble.seen);
        expect(trouble.seen.length, places).toBeGreaterThan(15);
        for (const fault of ['killBefore', 'killAfter', 'before', 'after'])
          expect(trouble.seen.filter((one) => one.fault === fault).length, fault).toBeGreaterThan(1);
        for (const [at, state] of troubled.entries()) expect(state, places).toEqual(calm[at]);
      },
    );
  });
}
