import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { verbs } from '../../../src/infra/cli/verbs.ts';
import { temporaryDirectory } from '../api/harness.ts';
import { fleetWithCli, runIn } from './harness.ts';

describe('help', () => {
  it.each([[], ['--help'], ['-h'], ['help']])(
    'comes without a verb and for %s, with every verb there is',
    async (...argv) => {
      const { code, stdout, stderr } = await runIn({ runDir: '/nowhere' }, ...argv);
      expect([code, stderr]).toEqual([0, '']);
      for (const name of ['unit', 'demo', ...verbs.map((verb) => verb.name)]) expect(stdout).toContain(`  ${name} `);
    },
  );

  it.each(verbs.map((verb) => verb))('of $name names its flags, whatever else is wrong', async (verb) => {
    const { code, stdout } = await runIn({ runDir: '/nowhere' }, ...verb.name.split(' '), '--help');
    expect(code).toBe(0);
    for (const flag of [...Object.keys(verb.flags), 'api', 'json']) expect(stdout).toContain(`--${flag}`);
    expect(await runIn({ runDir: '/nowhere' }, ...verb.name.split(' '), '-h')).toMatchObject({ code: 0, stdout });
  });

  it('of integrate shows both kinds', async () => {
    const { code, stdout } = await runIn({ runDir: '/nowhere' }, 'integrate', '--help');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/integrate backend NAME[^]*integrate client NAME/)]);
  });

  it('and the version need no unit', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    expect(await runIn({ runDir: '/nowhere' }, 'version')).toEqual({
      code: 0,
      stdout: `troupe ${version}\n`,
      stderr: '',
    });
    expect(await runIn({ runDir: '/nowhere' }, '--version')).toMatchObject({ code: 0, stdout: `troupe ${version}\n` });
    expect(JSON.parse((await runIn({ runDir: '/nowhere' }, 'version', '--json')).stdout)).toEqual({ version });
  });
});

const secret = new Secret('marker-password');
const backendFlags = ['--endpoints', 'db1:5432', '--username', 'admin'];

describe('wrong input ends with 2, one sentence a fault, and nothing asked for', () => {
  it.each<[argv: string, says: RegExp]>([
    ['stauts', /there is no verb "stauts": did you mean status\?/],
    ['frobnicate', /there is no verb "frobnicate" \(/],
    ['unti', /did you mean unit\?/],
    ['constructor', /there is no verb "constructor"/],
    ['--timeout 5 config', /only --api and --json may stand before the verb: --timeout comes after it/],
    ['--json --jsno status', /--jsno comes after it/],
    ['--api', /--api: a verb is missing after it/],
    ['--json --api /tmp/x.sock', /--json --api \/tmp\/x\.sock: a verb is missing after it/],
    ['--json stauts', /there is no verb "stauts": did you mean status\?/],
    ['--json status --json', /--json is given twice/],
    ['--api ftp://host status', /--api "ftp:\/\/host": must be a URL/],
    ['--json demo', /nothing may stand before "demo"/],
    ['integrate', /troupe integrate what\? There are: integrate backend, integrate client/],
    ['integrate server main', /troupe integrate what\?/],
    ['status --jsno', /there is no flag --jsno: did you mean --json\?/],
    ['status -x', /there is no flag -x/],
    ['status --__proto__', /there is no flag --__proto__/],
    ['status --json=yes', /--json takes no value/],
    ['status --json --json', /--json is given twice/],
    ['status --api', /--api needs a value: PLACE/],
    ['status --api --json', /--api needs a value: PLACE/],
    ['status now', /"now" is more than it takes: troupe status/],
    ['status --api ftp://host', /--api "ftp:\/\/host": must be a URL such as https/],
    ['status --api db1:8443', /--api "db1:8443": must be a URL \(https:\/\/db1:8443\) or the path of a unit's socket/],
    ['status --api http://db1:8443', /without TLS only this machine itself is asked: use https/],
    ['status --api https://me:secret@db1', /--api "https:\/\/…@db1": must not hold a token/],
    ['status --api https://db1/?token=1', /must end after the host/],
    ['config pool_mode query_timeout=3', /show options or change them \(KEY=VALUE\), not both/],
    ['config =3', /a key is missing before "="/],
    ['config pool_mode=session pool_mode=transaction', /"pool_mode" is given twice/],
    ['config pool_mode=session --reset pool_mode', /"pool_mode" is given twice/],
    ['config pool_mod', /there is no option "pool_mod": did you mean pool_mode\?/],
    ['config pool_mode=sesion', /options\.pool_mode: pool_mode=sesion must be one of session, transaction, statement/],
    ['config listen_port=010', /options\.listen_port: .* plain decimal digits/],
    ['config --reset nonsense', /there is no option "nonsense" \(troupe config lists them\)/],
    ['config pool_mode=transaction --timeout 0', /--timeout "0": must be seconds/],
    ['config pool_mode=transaction --timeout soon', /--timeout "soon": must be seconds/],
    ['config pool_mode=transaction --timeout=-1', /--timeout "-1": must be seconds/],
    ['config pool_mode=transaction --timeout 9999h', /--timeout "9999h": must be seconds/],
    ['integrate client', /something is missing: troupe integrate client NAME --database/],
    ['integrate client orders', /--database is missing/],
    ['integrate client Orders --database orders', /name: relation name "Orders" must be/],
    ['integrate client orders --database or/ders', /database: database "or\/ders" must be/],
    ['integrate client orders --database orders --roles superuser', /extra-user-roles: role "superuser" is not known/],
    [
      'integrate client orders --database orders --backend other',
      /backend: there is no backend "other" \(there are: main\)/,
    ],
    ['integrate backend more --username a --password-file /etc/hostname', /--endpoints is missing/],
    [
      'integrate backend more --endpoints db1 --username a --password-file -',
      /endpoints: endpoint "db1" must be host:port/,
    ],
    ['remove-relation nobody', /^troupe: there is no relation "nobody" \(there are: main, first\)/],
    ['dsn', /something is missing: troupe dsn CLIENT/],
    ['dsn ', /an argument is empty: troupe dsn CLIENT/],
    ['remove-relation ', /an argument is empty/],
    ['remove-unit one', /"one" is no unit/],
    ['remove-unit 9', /^troupe: there is no unit pgbouncer\/9/],
    ['dsn nobody', /there is no client "nobody" \(there are: first\)/],
    ['dsn first --format xml', /--format "xml": must be one of uri, env, json/],
    ['dsn first --json --format env', /--json and --format env: choose one/],
    ['dsn first --host 10.0.0.1', /--host "10\.0\.0\.1": no unit that serves this client is there/],
    ['dsn first --host pgbouncer/7', /--host "pgbouncer\/7": there is no such unit/],
    ['show-unit', /something is missing: troupe show-unit UNIT/],
    ['show-unit -- -1', /"-1" is no unit/],
    ['show-unit 9', /there is no unit pgbouncer\/9 \(there are: pgbouncer\/0, pgbouncer\/1, pgbouncer\/2\)/],
    ['show-unit other/0', /other\/0: the application here is pgbouncer/],
  ])('troupe %s', async (line, says) => {
    const { fleet, runDir } = await fleetWithCli();
    await fleet.changeBehind(
      {
        type: 'addBackend',
        name: 'main',
        endpoints: ['db1:5432'],
        username: 'a',
        password: secret,
        maintenanceDatabase: 'postgres',
      },
      'test',
    );
    await fleet.changeBehind(
      { type: 'addClient', name: 'first', database: 'first', backend: null, extraUserRoles: [] },
      'test',
    );
    fleet.settle();
    const { intent } = fleet;
    const { code, stdout, stderr } = await runIn({ runDir, stdin: 'password\n' }, ...line.split(' '));
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^(troupe: [^\n]{10,400}\n){1,2}$/);
    expect([code, stdout]).toEqual([2, '']);
    expect(fleet.intent).toBe(intent);
  });

  it('every fault of a change has its own line', async () => {
    const { run } = await fleetWithCli();
    const { code, stderr } = await run('config', 'pool_mode=x', 'query_timeout=never', 'pool_mode2=1');
    expect([code, stderr.split('\n').length - 1]).toEqual([2, 3]);
  });

  it.each<[what: string, content: Uint8Array | null, says: string]>([
    ['is missing', null, 'there is no such file'],
    ['is empty', Buffer.from('\n'), 'it is empty'],
    ['has two lines', Buffer.from('a\nb\n'), 'it holds more than one line'],
    ['has a zero byte', Buffer.from('a\0b'), 'it holds more than one line'],
    ['is not UTF-8', Buffer.from([0x61, 0xff]), 'it is not UTF-8 text'],
    ['is huge', Buffer.alloc(1_000_000, 0x61), 'it is longer than 1000 bytes'],
  ])('a password file that %s', async (_, content, says) => {
    const { fleet, run } = await fleetWithCli();
    const file = join(await temporaryDirectory(), 'password');
    if (content !== null) await writeFile(file, content);
    const { code, stderr } = await run('integrate', 'backend', 'main', ...backendFlags, '--password-file', file);
    expect([code, stderr]).toEqual([2, `troupe: cannot read the password from ${file}: ${says}\n`]);
    expect(fleet.asked).toEqual([]);
  });

  it('a password file that is a directory', async () => {
    const { run } = await fleetWithCli();
    const directory = await temporaryDirectory();
    const { code, stderr } = await run('integrate', 'backend', 'main', ...backendFlags, '--password-file', directory);
    expect([code, stderr]).toEqual([2, `troupe: cannot read the password from ${directory}: it is a directory\n`]);
  });

  it('control characters in what is complained about do not reach the terminal', async () => {
    const { stderr } = await runIn({ runDir: '/nowhere' }, '\u001b[2Jevil\u202e');
    expect(stderr).toMatch(/^troupe: [ -~]+\n$/);
  });
});
