/**
 * The charm as it is packed, in a model of Juju, with real PgBouncers under a Pebble for each unit: one application that nothing is
 * related to, and one of two units with a PostgreSQL and a client of each kind, which are charms on the libraries of others.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { startPostgres } from '../../src/infra/local/postgres.ts';
import type { Account } from '../../src/infra/local/service-user.ts';
import { charmIn } from '../support/juju/charm.ts';
import { type CounterpartName, Counterparts } from '../support/juju/counterparts.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import { startSmallPebble } from '../support/pebble/small-pebble.ts';

export const alone = 'alone';
const related = 'related';
/** Its other unit follows. */
export const leader = `${related}/0`;
export const follower = `${related}/1`;

/** What a unit leaves for its later hooks when it has found nothing to do. */
export const noteOf = (place: string, unit: string): string =>
  join(place, unit.replace('/', '-'), 'state', 'settled.json');

/** Of one unit; another one for each run: a run that was killed has left its PgBouncers, and they would be taken for a unit's own. */
const networkOf = (number: number): string => `127.${1 + (process.pid % 254)}.${number}`;

export interface CharmGround extends AsyncDisposable {
  readonly juju: JujuModel;
}

export interface CharmGroundOptions {
  /** What is packed, unpacked. */
  readonly directory: string;
  /** Empty, for what servers need; the caller removes it. */
  readonly place: string;
  readonly account: Account;
  /** With the libraries of the counterparts. Null: nothing is related, and there is no application `related`. */
  readonly python: string | null;
}

/** Resolves when no hook is left to run. */
export const openCharmGround = async ({
  directory,
  place,
  account,
  python,
}: CharmGroundOptions): Promise<CharmGround> => {
  await using opened = new AsyncDisposableStack();
  const juju = opened.use(await JujuModel.open());
  const path = process.env['PATH'] ?? '';
  const charm = charmIn(directory);
  const deploy = async (name: string, networks: readonly string[]): Promise<void> => {
    const environments = new Map<string, Readonly<Record<string, string>>>();
    for (const [number, network] of networks.entries()) {
      const at = join(place, `${name}-${number}`);
      await mkdir(at);
      const pebble = opened.use(await startSmallPebble({ directory: at, environment: {} }));
      environments.set(`${name}/${number}`, {
        TROUPE_PEBBLE: pebble.socket,
        TROUPE_STATE_DIR: join(at, 'state'),
        TROUPE_PGBOUNCER: findBinary('pgbouncer', path),
        TROUPE_LISTEN_ADDRESS: `${network}.100`,
        TROUPE_CONSOLE_NETWORK: network,
        ...(account.uid === process.getuid?.() ? {} : { TROUPE_USER: account.name }),
      });
    }
    const addresses = networks.flatMap((network) => [1, 2, 3, 4, 100].map((host) => `${network}.${host}`));
    juju.deploy(name, charm, {
      units: networks.length,
      options: { listen_port: await freePort(addresses) },
      environment: (unit) => environments.get(unit) ?? {},
    });
  };

  await deploy(alone, [networkOf(1)]);
  if (python !== null) {
    const postgres = await startPostgres({
      initdb: findBinary('initdb', path),
      postgres: findBinary('postgres', path),
      directory: join(place, 'postgres'),
      account,
    });
    opened.defer(() => postgres.stop());
    const { host, port, superuser } = postgres;
    const records = join(place, 'records');
    await mkdir(records);
    const counterparts = new Counterparts(python, records);
    const answers = {
      resource: 'postgres',
      endpoints: `${host}:${port}`,
      username: superuser.username,
      password: superuser.password.reveal(),
      version: postgres.version.split(' ')[1],
    };
    await deploy(related, [networkOf(2), networkOf(3)]);
    juju.deploy('postgresql', counterparts.charm('backend-v1'), counterparts.options({ answers }));
    juju.integrate(`${related}:backend-database`, 'postgresql:database');
    for (const [name, endpoint, asks] of clients) {
      juju.deploy(name, counterparts.charm(name), counterparts.options({ asks }));
      juju.integrate(`${related}:${endpoint}`, `${name}:${endpoint}`);
    }
  }
  await juju.settle();
  // What a hook could not yet know is taken up by the next ones.
  for (let round = 0; round < 3; round += 1) {
    juju.updateStatus(alone);
    if (python !== null) juju.updateStatus(related);
    await juju.settle();
  }
  const owned = opened.move();
  return { juju, [Symbol.asyncDispose]: () => owned.disposeAsync() };
};

const clients: readonly (readonly [CounterpartName, endpoint: string, asks: readonly unknown[]])[] = [
  ['client-v0', 'database', [{ database_name: 'orders' }]],
  ['client-v1', 'database', [{ resource: 'stock' }]],
  ['client-legacy', 'db', [{ database: 'old' }]],
];
