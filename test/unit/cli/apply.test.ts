import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fleetWithCli, type FleetOptions, runIn, said } from './harness.ts';

const file = `
application: pgbouncer
options: { pool_mode: transaction, max_db_connections: 60 }
backends:
  main: { endpoints: ["db1:5432", "db2:5432"], username: postgres, password-file: pg.password }
clients:
  orders:  { database: orders }
  reports: { database: orders, extra-user-roles: createdb, pool-mode: session, budget: 10 }
`;

const withFile = async (text = file, options: FleetOptions = {}) => {
  const all = await fleetWithCli(options);
  const path = join(all.runDir, 'fleet.yaml');
  const write = (changed: string) => writeFile(path, changed);
  await write(text);
  await writeFile(join(all.runDir, 'pg.password'), 's3cret\n');
  return { ...all, path, write, apply: (...flags: readonly string[]) => all.run('apply', '-f', path, ...flags) };
};

describe('apply', () => {
  it('shows what differs, applies it at once, and returns when every unit has verified it', async () => {
    const { fleet, apply } = await withFile();
    const { code, stdout, stderr } = await apply();
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('troupe:')]);
    expect(stdout.split('\n')).toEqual([
      '~ max_db_connections: default → 60',
      '~ pool_mode: default → transaction',
      '+ backend main added: endpoints db1:5432,db2:5432, username postgres, maintenance-database postgres',
      '+ client orders added: database orders, backend main',
      '+ client reports added: database orders, backend main, extra-user-roles createdb, pool-mode session, budget 10',
      expect.stringMatching(/^generation \d+ is verified by every unit$/),
      '',
    ]);
    expect(fleet.intent).toMatchObject({
      version: 1,
      options: { pool_mode: 'transaction', max_db_connections: 60 },
      clients: { reports: { extraUserRoles: ['createdb'], poolMode: 'session', budget: 10 } },
    });
    expect(stdout).not.toContain('s3cret');
  });

  it('changes nothing the second time, nor when it is only asked what it would do', async () => {
    const { fleet, apply } = await withFile();
    const dry = await apply('--dry-run', '--json');
    expect([dry.code, JSON.parse(dry.stdout)]).toMatchObject([
      0,
      { outcome: 'compared', version: 0, difference: { clients: [{ name: 'orders' }, { name: 'reports' }] }, kept: [] },
    ]);
    expect(fleet.intent).toBeNull();
    await apply();
    expect(await apply()).toMatchObject({ code: 0, stdout: 'nothing to change: it is so already\n' });
    expect(fleet.intent?.version).toBe(1);
  });

  it('keeps what it does not name, and says so', async () => {
    const { fleet, apply, write, run } = await withFile();
    await apply();
    await run('config', 'query_timeout=5', '--no-wait');
    await write('options: { pool_mode: session }\nclients: { reports: { database: orders } }');
    const { code, stdout } = await apply();
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^~ pool_mode: transaction → session\nnot in the file, kept: (.*)\n/),
    ]);
    expect(stdout).toContain(
      'kept: options.max_db_connections, options.query_timeout, backends.main, clients.orders, clients.reports.extra-user-roles, clients.reports.pool-mode, clients.reports.budget\n',
    );
    expect(fleet.intent).toMatchObject({
      options: { query_timeout: 5 },
      clients: { orders: {}, reports: { budget: 10, poolMode: 'session' } },
    });
  });

  it('removes with --prune what it does not name', async () => {
    const { fleet, apply, write } = await withFile();
    await apply();
    await write(
      file
        .replace('max_db_connections: 60', '')
        .replace(/ {2}orders:.*\n/, '')
        .replace(', budget: 10', ''),
    );
    const { code, stdout } = await apply('--prune');
    expect([code, stdout.split('\n').slice(0, 3)]).toEqual([
      0,
      [
        '~ max_db_connections: 60 → default',
        '- client orders removed: database orders',
        '~ client reports changed: budget 10 → default',
      ],
    ]);
    expect(fleet.intent?.options).toEqual({ pool_mode: 'transaction' });
    expect(Object.keys(fleet.intent?.clients ?? {})).toEqual(['reports']);
  });

  it('says of a changed password that there is another one, and of a changed backend what', async () => {
    const { apply, write, runDir } = await withFile();
    await apply();
    await writeFile(join(runDir, 'pg.password'), 'other');
    await write(file.replace('"db2:5432"', '"db3:5432"'));
    const { stdout } = await apply('--dry-run');
    expect(stdout).toBe('~ backend main changed: endpoints db1:5432,db2:5432 → db1:5432,db3:5432, another password\n');
  });

  it('reads standard input, and does not wait when it is told so', async () => {
    const { fleet, runDir } = await fleetWithCli({ held: true });
    const stdin = 'options: { pool_mode: transaction }';
    expect(await runIn({ runDir, stdin }, 'apply', '-f', '-', '--no-wait')).toMatchObject({
      code: 0,
      stdout: '~ pool_mode: default → transaction\nkept as version 1 of the intent\n',
    });
    expect(fleet.intent?.options).toEqual({ pool_mode: 'transaction' });
  });

  it('is coloured on a terminal', async () => {
    const { runDir } = await fleetWithCli();
    const stdin = 'options: { pool_mode: transaction }';
    const { stdout } = await runIn({ runDir, stdin, colour: true }, 'apply', '-f', '-', '--dry-run');
    expect(stdout).toBe('\u001b[33m~ pool_mode: default → transaction\u001b[0m\n');
  });

  it('ends with 5 and those that lag when time is over', async () => {
    const { fleet, apply } = await withFile(file, { held: true });
    const applying = apply('--timeout', '0.5');
    await expect.poll(() => fleet.intent?.version).toBe(1);
    fleet.publish();
    fleet.verify(0, 2);
    expect(await applying).toMatchObject({ code: 5, stderr: expect.stringContaining('pgbouncer/1') });
  });

  it('ends with 4 when somebody was faster between the look and the change, and nothing is lost', async () => {
    const { fleet, apply } = await withFile(file, {
      as: (seen) => ({
        ...seen,
        compare: async (change) => {
          const compared = await seen.compare(change);
          await fleet.changeBehind({ type: 'setOptions', options: { query_timeout: 7 } }, 'mallory');
          return compared;
        },
      }),
    });
    const { code, stderr } = await apply();
    expect([code, stderr]).toEqual([4, expect.stringMatching(/changed by mallory .*query_timeout: default → 7/)]);
    expect(fleet.intent).toMatchObject({ version: 1, options: { query_timeout: 7 }, clients: {} });
  });

  it.each<readonly [number, string, string, RegExp]>([
    [
      2,
      'a fault of the file',
      file.replace('budget: 10', 'budgt: 10'),
      /fleet\.yaml:8: clients\.reports\.budgt: .*did you mean budget/,
    ],
    [
      2,
      'an option that is none',
      file.replace('pool_mode', 'poolmode'),
      /fleet\.yaml:3: options\.poolmode: .*did you mean pool_mode/,
    ],
    [2, 'a value that is none', file.replace('60', '060'), /fleet\.yaml:3: options\.max_db_connections: .*060/],
    [
      2,
      'an endpoint that is none',
      file.replace('db2:5432', 'db2:99999'),
      /fleet\.yaml:5: backends\.main\.endpoints: .*65535/,
    ],
    [
      2,
      'a database that is reserved',
      file.replace('database: orders }', 'database: postgres }'),
      /fleet\.yaml:7: clients\.orders\.database: .*reserved/,
    ],
    [
      2,
      'a name that is none',
      file.replace('reports:', 'Reports:'),
      /fleet\.yaml:8: clients\.Reports\.name: .*lower-case/,
    ],
    [
      2,
      'a backend that is not there',
      file.replace('{ database: orders }', '{ database: orders, backend: x }'),
      /orders\.backend: there is no backend "x"/,
    ],
    [
      4,
      'another application',
      file.replace('pgbouncer', 'other'),
      /meant for application "other", and this is "pgbouncer"/,
    ],
    [4, 'no backend for its clients', 'clients: { a: { database: x } }', /no backend yet/],
  ])('ends with %i for %s, and changes nothing', async (expected, _, text, words) => {
    const { fleet, apply } = await withFile(text);
    const { code, stdout, stderr } = await apply();
    expect([code, stdout, stderr]).toEqual([expected, '', expect.stringMatching(words)]);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(fleet.intent).toBeNull();
  });

  it('tells all that is wrong at once, and what follows from it not again', async () => {
    const { apply } = await withFile(
      file.replace('db2:5432', 'x').replace('pool_mode', 'poolmode').replace('budget: 10', 'query-timeout: 99999999'),
    );
    const { code, stderr } = await apply();
    expect([code, stderr.trimEnd().split('\n').length]).toEqual([2, 3]);
  });

  it('removes no backend in the same breath as its clients', async () => {
    const { fleet, apply, write } = await withFile();
    await apply();
    await write('options: {}');
    expect(await apply('--prune')).toMatchObject({ code: 4, stderr: expect.stringContaining('still serves "orders"') });
    expect(fleet.intent?.version).toBe(1);
  });

  it('without a file says how to use it', async () => {
    const { run } = await fleetWithCli();
    expect(await run('apply')).toMatchObject({ code: 2, stderr: expect.stringContaining('--file is missing') });
  });

  it('waits until it is verified', async () => {
    const { start, fleet, path } = await withFile(file, { held: true });
    const started = start('apply', '-f', path);
    await said(started, 'waiting for');
    fleet.settle();
    expect(await started.ended).toMatchObject({ code: 0 });
  });
});

describe('config --file', () => {
  it('sets what a file says, beside what the command says', async () => {
    const { fleet, run, write, path } = await withFile('pool_mode: transaction\nlog_stats: yes\n');
    expect(await run('config', '--file', path, 'query_timeout=5')).toMatchObject({ code: 0 });
    await write('pool_mode=session\n# back\nserver_check_query=select 1=1\n');
    expect(await run('config', '--file', path)).toMatchObject({ code: 0 });
    expect(fleet.intent?.options).toEqual({
      pool_mode: 'session',
      log_stats: true,
      query_timeout: 5,
      server_check_query: 'select 1=1',
    });
  });

  it('refuses what stands there twice, and what is no option', async () => {
    const { fleet, run, path } = await withFile('pool_mode: transaction\n');
    expect(await run('config', '--file', path, 'pool_mode=session')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"pool_mode" is given twice'),
    });
    const input = { stdin: 'poolmode: x\nquery_timeout: 1h\n' };
    const { code, stderr } = await runIn(
      { runDir: path.replace('/fleet.yaml', ''), ...input },
      'config',
      '--file',
      '-',
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining('did you mean pool_mode')]);
    expect(stderr).toContain('query_timeout');
    expect(fleet.intent).toBeNull();
  });
});
