import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import { ask } from '../../src/infra/cli/api-request.ts';
import { socketAt } from '../../src/infra/cli/place.ts';
import { queryPostgres } from '../support/fleet-query.ts';
import { answersOf, exposedIn, logsOf, redisOf, storedIn } from '../support/fleet-secrets.ts';
import { useFleet } from '../support/fleet-under-test.ts';
import { type Markers, markersIn, ProcessSightings } from '../support/sightings.ts';

const fleet = useFleet({ againMs: 6_000, environment: { TROUPE_LOG_LEVEL: 'trace' } });

/** What nobody may see; filled by what happens before the tests. */
const passwords: Record<string, string> = {};
let secrets: Markers = {};
const monitored: string[] = [];
let sightings: ReadonlyMap<string, string> = new Map();

/** An administrator of a test's own, a client of each, and requests that are refused: all under everybody's eyes. */
beforeAll(async () => {
  using seen = new ProcessSightings();
  const redis = redisOf(fleet());
  const monitor = await redis.monitor();
  monitor.on('monitor', (_time: string, args: readonly string[]) => void monitored.push(args.join(' ')));
  try {
    await everythingHappens();
  } finally {
    monitor.disconnect();
    redis.disconnect();
  }
  sightings = seen.all;
  const key = (await readFile(join(fleet().place.directory, 'secret-key'), 'utf8')).trim();
  const authFile = await readFile(join(fleet().stateDir(0), 'userlist.txt'), 'utf8');
  const verifiers = [...authFile.matchAll(/SCRAM-SHA-256\$\d+:[^$]+\$([^:"]+):([^"]+)"/g)];
  expect(verifiers.length).toBeGreaterThanOrEqual(3);
  secrets = {
    ...passwords,
    'the secret key': key,
    'the bytes of the secret key': Buffer.from(key, 'base64'),
    "the store's password": fleet().redis.password.reveal(),
    ...Object.fromEntries(
      verifiers.flatMap(([, stored = '', server = ''], index) => [
        [`stored key ${index}`, stored],
        [`server key ${index}`, server],
      ]),
    ),
  };
}, 90_000);

const everythingHappens = async (): Promise<void> => {
  const odd = (what: string): string => `${what}'"\\%&=;#{}<>$$ ${randomBytes(16).toString('hex')}`;
  passwords['the administrator'] = odd('administrator');
  passwords['a wrong password'] = odd('wrong');
  passwords['a refused password'] = odd('refused');
  const { host, port } = fleet().postgres;
  const literal = passwords['the administrator'].replaceAll("'", "''");
  // Membership in the role that owns what is there: so it is when an operator changes administrators.
  await queryPostgres(
    fleet(),
    `create role marked_admin login createrole createdb in role troupe_admin password '${literal}'`,
  );
  const backend = {
    type: 'addBackend',
    endpoints: [`${host}:${port}`],
    maintenanceDatabase: 'postgres',
    username: 'marked_admin',
  } as const;
  await fleet().change({ ...backend, name: 'marked', password: new Secret(passwords['the administrator']) });
  await fleet().change({ ...backend, name: 'wrong', password: new Secret(passwords['a wrong password']) });
  for (const [name, backendName] of Object.entries({ second: 'marked', third: 'marked', fourth: 'main' }))
    await fleet().change({
      type: 'addClient',
      name,
      database: `${name}_db`,
      backend: backendName,
      extraUserRoles: [],
    });
  for (const name of ['first', 'second', 'third', 'fourth'])
    passwords[`client ${name}`] = (await fleet().credentials(name)).password;
  await fleet()
    .watch(0)
    .until(({ relations }) => relations.some(({ name, state }) => name === 'wrong' && state === 'blocked'));
  await fleet().change({ type: 'removeRelation', name: 'third' });
  await fleet()
    .watch(0)
    .until(({ relations }) => relations.every(({ name }) => name !== 'third'));

  const refused = { name: 'refused', username: 'x', endpoints: ['no port'], password: passwords['a refused password'] };
  for (const body of [refused, { ...refused, endpoints: 7 }]) {
    const asked = { method: 'post', path: '/v1/relations/backends', body };
    const { status, text } = await ask(socketAt(fleet().unit(0).socket), asked, AbortSignal.timeout(10_000));
    expect(status).toBe(400);
    expect(markersIn(text, passwords)).toEqual([]);
  }
};

describe('a fleet', () => {
  it('makes passwords of at least 128 bits', () => {
    const made = Object.entries(passwords).flatMap(([name, text]) => (name.startsWith('client ') ? [text] : []));
    expect(new Set(made).size).toBe(4);
    const alphabet = new Set(made.join('')).size; // Of those seen: the true one is not smaller.
    for (const password of made) expect(password.length * Math.log2(alphabet)).toBeGreaterThanOrEqual(128);
  });

  it('tells no secret to a log, though every level is on', async () => {
    const logs = await logsOf(fleet());
    expect(logs.size).toBe(3 + 6 + 2);
    for (const unit of [0, 1, 2]) expect(logs.get(`unit-${unit}.log`)).toMatch(/"level":10.*"decision"/);
    expect(finds(logs)).toEqual([]);
  });

  it('gives no process a secret as an argument or by its environment', () => {
    const ours = [...sightings.keys()].filter((text) => text.includes(fleet().place.directory));
    expect(ours.length).toBeGreaterThanOrEqual(3 + 6);
    expect(finds(new Map([...sightings].map(([text, where], index) => [`${where} (${index})`, text])))).toEqual([]);
  });

  it('answers no GET with a secret, but for the credentials of a client', async () => {
    const answers = await answersOf(fleet());
    expect(answers.size).toBeGreaterThanOrEqual(3 * 13);
    expect(finds(answers)).toEqual([]);
    const asked = { method: 'get', path: '/v1/relations/second/credentials' };
    const { text } = await ask(socketAt(fleet().unit(1).socket), asked, AbortSignal.timeout(10_000));
    expect(markersIn(text, secrets)).toEqual(['client second']);
  });

  it('gives its store nothing but sealed secrets, neither to keep nor on the way', async () => {
    const redis = redisOf(fleet());
    onTestFinished(() => redis.disconnect());
    const stored = await storedIn(redis);
    expect(stored.size).toBeGreaterThan(5);
    expect(finds(stored)).toEqual([]);
    expect(monitored.length).toBeGreaterThan(50);
    expect(monitored.join('\n')).toContain('fourth_db'); // What is no secret is there.
    expect(finds(new Map([['MONITOR', monitored.join('\n')]]))).toEqual([]);
  });

  it('has no file that others can read', async () => {
    expect(await exposedIn(fleet().place.directory, secrets)).toEqual([]);
    // Those of local servers too.
    for (const { passwordFile } of [fleet().redis, fleet().postgres])
      expect(await exposedIn(dirname(passwordFile), secrets)).toEqual([]);
  });

  it('sends no password to PostgreSQL, so that even a server that logs every statement has none', async () => {
    await queryPostgres(fleet(), "alter system set log_statement = 'all'");
    await queryPostgres(fleet(), 'select pg_reload_conf()');
    await fleet().change({ type: 'addClient', name: 'fifth', database: 'fifth', backend: 'main', extraUserRoles: [] });
    const { username, password } = await fleet().credentials('fifth');
    const log = (await logsOf(fleet())).get('postgres') ?? '';
    expect(log).toMatch(new RegExp(`statement: .*role.*${username}`, 'i'));
    expect(markersIn(log, { ...passwords, password })).toEqual([]);
  });
});

/** Where which secret is. */
const finds = (texts: ReadonlyMap<string, string>): readonly string[] =>
  [...texts].flatMap(([where, text]) => markersIn(text, secrets).map((name) => `${where}: ${name}`));
