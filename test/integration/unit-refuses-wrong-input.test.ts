/** Whatever is put in by flag, file or request and is wrong: a designed exit code, a few sentences, and the unit as it was. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { LoneUnit, main } from '../support/lone-unit.ts';
import { pgbouncerBinaries, testDirectory } from '../support/servers.ts';
import { ask } from '../unit/api/harness.ts';
import { runIn } from '../unit/cli/harness.ts';

const newest = (await pgbouncerBinaries()).findLast(({ run }) => run !== null);
const binary = newest?.run ?? '';
const long = 'x'.repeat(64);
const client = 'integrate client orders --database orders';
const backend = 'integrate backend main --username u --password-file - --endpoints';

/** Exit code, arguments with blanks between them, words of the sentence. */
const commands: readonly (readonly [number, string, RegExp])[] = [
  [2, 'nonsense', /there is no verb "nonsense"/],
  [2, 'confg', /did you mean config/],
  [2, 'config --frobnicate', /there is no flag --frobnicate/],
  [2, 'config =5', /a key is missing/],
  [2, 'config pool_mode=sometimes', /pool_mode=sometimes must be one of session/],
  [2, 'config POOL_MODE=session', /did you mean pool_mode/],
  [2, 'config max_client_conn=-5', /from 1 to/],
  [2, 'config max_client_conn=0x10', /plain decimal digits/],
  [2, 'config max_client_conn=010', /plain decimal digits/],
  [2, 'config max_client_conn=1e3', /plain decimal digits/],
  [2, 'config max_client_conn=99999999999999999999', /from 1 to/],
  [2, 'config query_timeout=5s', /without a unit/],
  [2, 'config log_stats=maybe', /true or false/],
  [2, 'config auth_type=trust', /auth_type cannot be set/],
  [2, 'config logfile=/etc/passwd', /logfile cannot be set/],
  [2, 'config server_check_query=a;b', /one SQL statement/],
  [2, 'config ignore_startup_parameters=search_path', /without search_path/],
  [2, 'config pool_mode=session pool_mode=session', /given twice/],
  [2, 'config --reset pool-mode', /did you mean pool_mode/],
  [2, 'config pool_mode query_timeout=1', /not both at once/],
  [2, 'config pool_mode=session --timeout soon', /--timeout "soon": must be seconds/],
  [2, 'config --file /nonexistent', /cannot read \/nonexistent: there is no such file/],
  [2, 'config --file /tmp', /cannot read \/tmp: it is a directory/],
  [4, 'config max_db_connections=1', /too small for 2 instances/],
  [2, 'integrate', /integrate what\?/],
  [2, 'integrate client', /something is missing/],
  [2, 'integrate client orders', /--database is missing/],
  [2, `${client} extra`, /"extra" is more than it takes/],
  [2, 'integrate client Orders --database orders', /relation name "Orders" must be/],
  [2, 'integrate client constructor --database orders', /"constructor" .*choose another one/],
  [2, 'integrate client orders --database pgbouncer', /database "pgbouncer" is reserved/],
  [2, 'integrate client orders --database *', /letters, digits/],
  [2, `integrate client orders --database ${long}`, /1 to 63 letters/],
  [2, 'integrate client orders --database troupe_x', /reserved/],
  [2, 'integrate client orders --database x_readonly', /_readonly/],
  [2, 'integrate client оrders --database orders', /\\u\{43e\}rders/],
  [2, `${client} --roles superuser`, /role "superuser" is not known/],
  [2, `${client} --backend other`, /there is no backend "other"/],
  [2, `${client} --pool-mode auto`, /--pool-mode "auto": must be session/],
  [2, `${client} --budget -1`, /--budget needs a value|plain decimal/],
  [2, `${client} --budget 1.5`, /plain decimal digits/],
  [2, `${client} --budget 300000`, /from 0 to 262143/],
  [4, `${client} --budget 1`, /the budget 1 of client "orders" is too small for 2 instances.*set it to 2 or more/],
  [2, `${client} --query-timeout 1h`, /whole seconds/],
  [4, 'integrate client main --database orders', /"main" is a backend already/],
  [2, `${backend} db1`, /host:port/],
  [2, `${backend} db1:0`, /port from 1 to 65535/],
  [2, `${backend} db1:08`, /port from 1 to 65535/],
  [2, `${backend} db1:70000`, /port from 1 to 65535/],
  [2, `${backend} =-x:5432`, /does not name a host/],
  [2, `${backend} a..b:5432`, /does not name a host/],
  [2, `${backend} 127.1:5432`, /no IPv4 address of a server/],
  [2, `${backend} 010.0.0.1:5432`, /no IPv4 address of a server/],
  [2, `${backend} 0.0.0.0:5432`, /no IPv4 address of a server/],
  [2, `${backend} [fe80::1%eth0]:5432`, /without a zone/],
  [2, `${backend} [::]:5432`, /no IPv6 address of a server/],
  [2, `${backend} [1:2]:5432`, /no IPv6 address of a server/],
  [2, `${backend} db1:5432,DB1:5432`, /named twice/],
  [2, `${backend} /tmp:5432`, /does not name a host/],
  [2, `integrate backend main --endpoints db1:5432 --username ${long} --password-file -`, /63 bytes/],
  [2, `${backend} db1:5432 --maintenance-database ${long}`, /maintenance database is longer/],
  [2, 'integrate backend main --endpoints db1:5432 --username u --password-file /nonexistent', /there is no such file/],
  [2, 'remove-relation nobody', /there is no relation "nobody" \(there are: main\)/],
  [2, 'dsn nobody', /there is no client "nobody"/],
  [2, 'show-unit pgbouncer/7', /there is no unit pgbouncer\/7/],
  [2, 'apply', /--file is missing/],
  [2, 'apply -f /nonexistent', /there is no such file/],
  [2, 'status --api ftp://x', /must be a URL/],
];

/** Fleet files, from standard input. */
const files: readonly (readonly [number, string, RegExp])[] = [
  [2, '', /names nothing/],
  [2, 'options: { pool_mode: auto }', /standard input:1: options\.pool_mode: .*one of session/],
  [2, 'options: { max_db_connections: 010 }', /plain decimal digits/],
  [2, 'options: { max_db_connections: 1_000 }', /plain decimal digits/],
  [2, 'options: { max_db_connections: null }', /has no value/],
  [2, 'options: { auth_type: trust }', /auth_type cannot be set/],
  [2, 'options: &a { pool_mode: session }', /anchors are not taken/],
  [2, 'options: {}\n---\noptions: {}', /a second document/],
  [2, `options: ${'['.repeat(9_999)}`, /nested too deeply/],
  [2, 'a\0b', /control character/],
  [2, 'clients: { "a b": { database: x } }', /clients\.a b\.name: relation name "a b" must be/],
  [2, 'clients: { a: { database: "x; y" } }', /clients\.a\.database: database "x; y" must be/],
  [2, 'clients: { a: { database: x, extra-user-roles: [pg_monitor] } }', /role "pg_monitor" is not known/],
  [2, 'clients: { a: { database: x, query-timeout: 99999999 } }', /query-timeout=99999999 must be/],
  [2, 'backends: { b: { endpoints: [db1:99999], username: u, password-file: /dev/null } }', /it is empty/],
  [4, 'application: other\noptions: {}', /meant for application "other"/],
  [4, 'clients: { main: { database: x } }', /"main" is a backend already/],
  [4, 'clients: { a: { database: x, budget: 1 } }', /too small for 2 instances/],
];

/** Status, method, path, body, words. */
const requests: readonly (readonly [number, string, string, unknown, RegExp])[] = [
  [400, 'PATCH', '/v1/config', '{', /not JSON/],
  [400, 'PATCH', '/v1/config', '{"options":{"__proto__":1}}', /__proto__/],
  [400, 'PATCH', '/v1/config', [], /must be an object/],
  [400, 'PATCH', '/v1/config', { options: {} }, /names no option/],
  [400, 'PATCH', '/v1/config', { options: { pool_mode: ['session'] } }, /must be a text/],
  [400, 'PATCH', '/v1/config', '{"options":{"query_timeout":1e999}}', /query_timeout/],
  [400, 'PATCH', '/v1/config', { options: { query_timeout: true } }, /number of seconds/],
  [400, 'PATCH', '/v1/config', { options: { pool_mode: 'session' }, expected: -1 }, /0 or more/],
  [400, 'PATCH', '/v1/config', { options: { pool_mode: 'session' }, extra: 1 }, /extra: is not a field/],
  [
    409,
    'PATCH',
    '/v1/config',
    { options: { pool_mode: 'session' }, expected: 0 },
    /version \d+ by now.*backend main added/,
  ],
  [400, 'POST', '/v1/relations/clients', { name: 'a', database: 'x', poolMode: 'auto' }, /poolMode: must be session/],
  [400, 'POST', '/v1/relations/clients', { name: 'a', database: 'x', budget: 1.5 }, /whole number/],
  [
    400,
    'POST',
    '/v1/relations/clients',
    { name: 'a', database: 'x', timeouts: { query: 1 } },
    /timeouts\.query: is not a field/,
  ],
  [400, 'POST', '/v1/relations/clients', { name: 'a', database: 'x\u0000' }, /zero byte/],
  [
    400,
    'POST',
    '/v1/relations/backends',
    { name: 'b', endpoints: [], username: 'u', password: 'p' },
    /no endpoint is named/,
  ],
  [
    400,
    'POST',
    '/v1/relations/backends',
    { name: 'b', endpoints: ['d:1'], username: 'u', password: 'a\u0000b' },
    /zero byte/,
  ],
  [
    400,
    'POST',
    '/v1/relations/backends',
    { name: 'b', endpoints: ['d:1'], username: 'u\ud800', password: 'p' },
    /half of a character/,
  ],
  [400, 'POST', '/v1/fleet', { clients: { a: {} } }, /clients\.a\.database: is missing/],
  [400, 'POST', '/v1/fleet', { prune: 'yes' }, /prune: must be true or false/],
  [422, 'POST', '/v1/fleet', { application: 'other' }, /meant for application/],
  [422, 'POST', '/v1/fleet', { prune: true, clients: { main: { database: 'x' } } }, /already/],
  [404, 'DELETE', '/v1/relations/nobody', undefined, /no relation/],
];

describe.skipIf(newest === undefined)(`a unit with PgBouncer ${newest?.version}`, () => {
  let unit: LoneUnit;
  let before: unknown;
  const standing = async () => {
    const { units, intent, generation } = await unit.api.status(AbortSignal.timeout(5_000));
    return { intent, generation, instances: units[0]?.instances };
  };
  beforeAll(async () => {
    unit = await LoneUnit.serving({ binary });
    const stdin = 'p\n';
    const surroundings = { runDir: join(unit.directory, 'run'), stdin };
    const argv = 'integrate backend main --endpoints 127.0.0.1:1 --username u --password-file - --no-wait'.split(' ');
    expect(await runIn(surroundings, ...argv)).toMatchObject({ code: 0, stderr: '' });
    await unit.watch.until(
      ({ generation }) => generation.intentVersion === 2 && generation.good === generation.published,
      10_000,
    );
    before = await standing();
  }, 40_000);
  afterAll(async () => {
    await unit?.[Symbol.asyncDispose]();
  });
  const run = (line: string, stdin = 'p\n') =>
    runIn({ runDir: join(unit.directory, 'run'), stdin }, ...line.split(' '));
  const expectSentences = (stderr: string, words: RegExp): void => {
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(/^(?:troupe: [^\n]+\n){1,21}$/);
    expect(stderr).not.toMatch(/defect|\n\s+at |node:|undefined|\[object/);
  };

  it.each(commands)('%i: troupe %s', async (code, line, words) => {
    const ran = await run(line);
    expectSentences(ran.stderr, words);
    expect([ran.code, ran.stdout]).toEqual([code, '']);
  });

  it.each(files.map(([code, file, words]) => [code, file.slice(0, 70), file, words] as const))(
    '%i: a file %j',
    async (code, _, file, words) => {
      const ran = await run('apply -f -', file);
      expectSentences(ran.stderr, words);
      expect([ran.code, ran.stdout]).toEqual([code, '']);
    },
  );

  it.each(requests)('%i: %s %s, %#', async (status, method, path, body, words) => {
    const answer = await ask(unit.socket, method, path, body);
    expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(words)]);
    expect(answer.text).not.toMatch(/\n\s+at |defect/);
  });

  afterAll(async () => {
    if (before !== undefined) expect(await standing()).toEqual(before);
  });

  it('is as it was after all of it', async () => {
    expect(commands.length + files.length + requests.length).toBeGreaterThan(60);
    expect(await standing()).toEqual(before);
    expect(fleetStatusSchema.parse(await unit.api.status(AbortSignal.timeout(5_000))).relations).toMatchObject([
      { name: 'main' },
    ]);
  });
});

describe('a unit that is started wrongly', () => {
  const started = async (environment: Readonly<Record<string, string>>, ...flags: readonly string[]) => {
    const directory = await testDirectory();
    const env = { TROUPE_STATE_DIR: join(directory, 's'), TROUPE_RUN_DIR: join(directory, 'r'), ...environment };
    const running = promisify(execFile)(process.execPath, [main, 'unit', ...flags], { env, timeout: 20_000 });
    return running.then(
      () => ({ code: 0, stderr: '' }),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    );
  };

  it.each<readonly [Readonly<Record<string, string>>, string, RegExp]>([
    [{ TROUPE_FOO: '1' }, '', /TROUPE_FOO is not a setting/],
    [{ TROUPE_INSTANCES: '0' }, '', /TROUPE_INSTANCES=0: must be a number of instances from 1 to 64/],
    [{ TROUPE_INSTANCES: '65' }, '', /TROUPE_INSTANCES/],
    [{ TROUPE_APPLICATION: 'Pg' }, '', /TROUPE_APPLICATION=Pg/],
    [{ TROUPE_APPLICATION: 'pg-bouncer' }, '', /PostgreSQL reserves pg_/],
    [{ TROUPE_UNIT: 'other/0' }, '', /names application "other"/],
    [{ TROUPE_LEASE_TTL: '1ms' }, '', /TROUPE_LEASE_TTL=1ms: must be from/],
    [{ TROUPE_LOG_LEVEL: 'loud' }, '', /must be one of fatal/],
    [{ TROUPE_STATE_DIR: 'relative' }, '', /must be an absolute path/],
    [{ TROUPE_BACKPLANE: 'http://x' }, '', /must be a URL such as redis:/],
    [{ TROUPE_BACKPLANE: 'redis://x' }, '', /TROUPE_SECRET_KEY_FILE is missing/],
    [{}, '--frobnicate', /frobnicate/],
    [{}, '--instances=many', /TROUPE_INSTANCES=many/],
    [{ TROUPE_FLEET: '/nonexistent' }, '', /cannot read \/nonexistent: there is no such file/],
    [{}, '--fleet=/etc/passwd', /\/etc\/passwd.*: it/],
  ])('ends with 2 and says why: %j %s', async (environment, flag, words) => {
    const { code, stderr } = await started(environment, ...(flag === '' ? [] : [flag]));
    expect([code, stderr]).toEqual([2, expect.stringMatching(words)]);
    expect(stderr).toMatch(/^(?:troupe: [^\n]+\n)+$/);
  });
});

describe.skipIf(newest === undefined)('a unit with a fleet file', () => {
  it('begins with it, and goes on with what was changed since', async () => {
    const directory = await testDirectory('u-');
    const fleet = join(directory, 'fleet.yaml');
    await writeFile(join(directory, 'pg.password'), 's3cret\n');
    await writeFile(
      fleet,
      'options: { pool_mode: transaction }\nbackends: { main: { endpoints: [127.0.0.1:1], username: u, password-file: pg.password } }\n',
    );
    const options = { binary, directory, environment: { TROUPE_FLEET: fleet } };
    const version = async (unit: LoneUnit) => (await unit.watch.until(({ intent }) => intent !== null)).intent?.version;
    {
      await using unit = await LoneUnit.open(options);
      expect(await version(unit)).toBe(1);
      const change = { type: 'setOptions', options: { pool_mode: 'session', listen_port: unit.port } } as const;
      expect(await unit.api.change(change, AbortSignal.timeout(5_000))).toMatchObject({ kind: 'accepted', version: 2 });
      await expect.poll(async () => (await unit.api.readOptions(AbortSignal.timeout(5_000))).value.version).toBe(2);
      unit.signal('SIGTERM');
      const { said } = await unit.ended();
      expect(said).toContain('the application begins with the fleet file');
      expect(said).not.toContain('s3cret');
    }
    await using again = await LoneUnit.open(options);
    expect(await version(again)).toBe(2);
    again.signal('SIGTERM');
    expect((await again.ended()).said).toContain('the fleet file is not used');
  }, 60_000);
});
