/**
 * The packed charm with PgBouncers, a Pebble and a PostgreSQL that run: while nothing is otherwise a dispatch leaves its note as it is,
 * and whatever happens to one of these makes it look at everything, and write the note anew once nothing is left to do.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { charmInto, ownArchitecture } from '../../scripts/charm-archive.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { startCluster, startPostgres } from '../../src/infra/local/postgres.ts';
import { createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { keyLabel, keyQuestion } from '../../src/infra/juju/fleet-key.ts';
import { answersTo, digestOf } from '../../src/infra/juju/tool-answers.ts';
import { signed, textSigned } from '../../src/programs/charm-signed.ts';
import { charmIn } from '../support/juju/charm.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import { provider, requirer } from '../support/juju/played-charms.ts';
import { startSmallPebble } from '../support/pebble/small-pebble.ts';

const longestMs = 300_000;
const network = '127.0.94';
const unit = 'pooler/0';

const opened = new AsyncDisposableStack();
let place = '';
let juju: JujuModel;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let newPebble: () => Promise<void>;

beforeAll(async () => {
  const [account, architecture, path] = [await serviceAccount(), ownArchitecture(), process.env['PATH'] ?? ''];
  if (architecture === undefined) throw new Error(`there is no charm for ${process.arch}`);
  place = await createScratch('troupe-settled-', account);
  opened.defer(() => rm(place, { recursive: true, force: true }));
  await charmInto(join(place, 'charm'), architecture);
  await mkdir(join(place, 'pod'));
  let pebble = await startSmallPebble({ directory: join(place, 'pod'), environment: {} });
  opened.defer(() => pebble[Symbol.asyncDispose]());
  const { socket } = pebble;
  newPebble = async () => {
    await pebble[Symbol.asyncDispose]();
    await rm(join(place, 'pod', 'state'), { recursive: true, force: true });
    pebble = await startSmallPebble({ directory: join(place, 'pod'), environment: {} });
  };
  postgres = await startPostgres({
    initdb: findBinary('initdb', path),
    postgres: findBinary('postgres', path),
    directory: join(place, 'postgres'),
    account,
  });
  opened.defer(() => postgres.stop());
  juju = opened.use(await JujuModel.open());
  const { host, port, superuser } = postgres;
  juju.deploy('pooler', charmIn(join(place, 'charm')), {
    options: { listen_port: await freePort([1, 2, 3, 4, 100].map((number) => `${network}.${number}`)) },
    environment: () => ({
      TROUPE_PEBBLE: socket,
      TROUPE_STATE_DIR: join(place, 'pod', 'state'),
      TROUPE_PGBOUNCER: findBinary('pgbouncer', path),
      TROUPE_LISTEN_ADDRESS: `${network}.100`,
      TROUPE_CONSOLE_NETWORK: network,
      ...(account.uid === process.getuid?.() ? {} : { TROUPE_USER: account.name }),
    }),
  });
  juju.deploy('postgresql', provider({ ...superuser, endpoints: `${host}:${port}` }));
  juju.integrate('pooler:backend-database', 'postgresql:database');
  juju.deploy('orders', requirer({ database: 'orders' }));
  juju.integrate('pooler:database', 'orders:database');
}, longestMs);
afterAll(() => opened.disposeAsync());

const note = () => join(place, 'pod', 'state', 'settled.json');
/** Tells one note from another; null: there is none. */
const written = async (): Promise<string | null> => {
  const found = await stat(note()).catch(() => null);
  return found && `${found.ino} ${found.mtimeMs}`;
};

const ring = async (): Promise<void> => {
  juju.updateStatus(unit);
  await juju.settle();
};
/** Until a dispatch leaves the note as the one before has left it. */
const toRest = async (): Promise<string> => {
  await juju.settle();
  for (let round = 0; round < 20; round += 1) {
    const before = await written();
    await ring();
    if (before !== null && (await written()) === before) return before;
  }
  throw new Error(`it does not come to rest: ${JSON.stringify(juju.unit(unit).status)}`);
};

/** Of this machine: a pod with others is another one, and containers of other tests bring some here. */
const addresses = (): string => JSON.stringify(networkInterfaces());

const fleetKey = (): unknown => {
  const [id = ''] = [...juju.secrets].find(([, { label }]) => label === keyLabel) ?? [];
  return juju.secret(id);
};

const processOf = async (instance: number): Promise<number> => {
  const verified: unknown[][] = JSON.parse(await readFile(join(place, 'pod', 'state', 'verified.json'), 'utf8'));
  const [, , process = ''] = verified.find(([id]) => id === instance) ?? [];
  return Number(String(process).split(' ')[0]);
};
const ini = () => join(place, 'pod', 'state', 'instances', '1', 'pgbouncer.ini');

describe('the packed charm', () => {
  it(
    'comes to rest, and stays so without another look',
    async () => {
      let before: string;
      let notes: readonly (string | null)[];
      do {
        before = addresses();
        const left = await toRest();
        expect(juju.unit(unit).status.word).toBe('active');
        for (let round = 0; round < 3; round += 1) await ring();
        const afterThree = await written();
        await juju.dispatch(unit, 'config-changed');
        notes = [left, afterThree, await written()];
      } while (addresses() !== before);
      expect(new Set(notes).size).toBe(1);
      expect((await stat(note())).mode & 0o777).toBe(0o600);
    },
    longestMs,
  );

  /** `back`: what ends it. */
  const changes: readonly (readonly [what: string, does: () => unknown, back: (() => unknown) | null])[] = [
    ['a PgBouncer hangs', async () => process.kill(await processOf(1), 'SIGSTOP'), null],
    ['a PgBouncer was started again by hand', async () => process.kill(await processOf(2), 'SIGTERM'), null],
    ['a file was edited', async () => writeFile(ini(), `${await readFile(ini(), 'utf8')}\n; by hand\n`), null],
    ['an option was changed', () => juju.configure('pooler', { pool_mode: 'transaction' }), null],
    [
      'somebody is related',
      () => {
        juju.deploy('stock', requirer({ database: 'stock' }));
        juju.integrate('pooler:database', 'stock:database');
      },
      null,
    ],
    [
      'its time is over',
      async () => {
        const key = await answersTo([keyQuestion], async () => JSON.stringify(fleetKey()));
        const settled = JSON.parse(textSigned(await readFile(note(), 'utf8'), key) ?? '');
        await writeFile(note(), signed(JSON.stringify({ ...settled, until: 1 }), key) ?? '');
      },
      null,
    ],
    [
      'somebody in the container has written the note',
      async () => {
        const [, text = ''] = (await readFile(note(), 'utf8')).split('\n');
        const settled = { ...JSON.parse(text), questions: [], answers: digestOf(new Map()) };
        await writeFile(note(), `\n${JSON.stringify(settled)}`);
      },
      null,
    ],
    ['the note cannot be read', () => writeFile(note(), '{'), null],
    ['PostgreSQL is stopped', () => postgres.stop(), async () => (postgres = await startCluster(postgres))],
    ['the container was lost', () => newPebble(), null],
  ];

  it.each(changes)(
    'looks at everything when %s',
    async (_, does, back) => {
      const left = await toRest();
      await does();
      // A note that was changed in place is another one already, and does not stand.
      const changed = await written();
      await ring();
      expect(await written()).not.toBe(changed ?? left);
      await back?.();
      expect(await toRest()).not.toBe(left);
      expect(juju.unit(unit).status.word).toBe('active');
    },
    longestMs,
  );
});
