import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const read = (file: string) => parse(readFileSync(join('deploy/charm', file), 'utf8'));
const interfacesOf = (endpoints: Readonly<Record<string, { interface: string }>>) =>
  Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, endpoint.interface]));

describe('the charm', () => {
  const metadata = read('metadata.yaml');

  it('is refreshed to from the charm it takes the place of, so it has its name, container and endpoints', () => {
    expect(metadata.name).toBe('pgbouncer-k8s');
    expect(metadata.containers).toEqual({ pgbouncer: { resource: 'pgbouncer-image' } });
    expect(metadata.resources['pgbouncer-image'].type).toBe('oci-image');
    expect(interfacesOf(metadata.peers)).toEqual({ 'pgb-peers': 'pgb_peers', upgrade: 'upgrade' });
    expect(interfacesOf(metadata.requires)).toEqual({
      'backend-database': 'postgresql_client',
      certificates: 'tls-certificates',
      logging: 'loki_push_api',
      tracing: 'tracing',
    });
    expect(interfacesOf(metadata.provides)).toEqual({
      database: 'postgresql_client',
      db: 'pgsql',
      'db-admin': 'pgsql',
      'metrics-endpoint': 'prometheus_scrape',
      'grafana-dashboard': 'grafana_dashboard',
    });
  });

  it('asks for one backend, and for nothing else', () => {
    const { requires, provides } = metadata;
    expect(Object.values(requires).map((endpoint) => (endpoint as { limit: number }).limit)).toEqual([1, 1, 1, 1]);
    const needed = Object.entries({ ...requires, ...provides }).filter(
      ([, endpoint]) => (endpoint as { optional: boolean }).optional !== true,
    );
    expect(needed.map(([name]) => name)).toEqual(['backend-database']);
  });

  it('keeps the options of that charm, by name, type and default', () => {
    const { options } = read('config.yaml');
    expect(options).toMatchObject({
      listen_port: { type: 'int', default: 6432 },
      pool_mode: { type: 'string', default: 'session' },
      max_db_connections: { type: 'int', default: 100 },
      'expose-external': { type: 'string', default: 'false' },
      'loadbalancer-extra-annotations': { type: 'string', default: '{}' },
      max_prepared_statements: { type: 'int', default: 100 },
    });
  });

  it('gives every option a default of its type, so that each has a value that is shown', () => {
    const types = { int: 'number', float: 'number', boolean: 'boolean', string: 'string' };
    const { options } = read('config.yaml');
    const wrong = Object.entries<{ type: keyof typeof types; default: unknown }>(options).filter(
      ([, option]) => typeof option.default !== types[option.type],
    );
    expect(wrong).toEqual([]);
    for (const { default: standard } of Object.values<{ type: string; default: unknown }>(options).filter(
      ({ type }) => type === 'int',
    ))
      expect(Number.isSafeInteger(standard)).toBe(true);
  });

  it('has the actions of that charm, and its own', () => {
    const actions = read('actions.yaml');
    expect(Object.keys(actions).toSorted()).toEqual(
      ['confirm-connection-limit', 'pre-upgrade-check', 'resume-upgrade', 'set-tls-private-key', 'status'].toSorted(),
    );
    expect(actions['set-tls-private-key'].params['private-key'].type).toBe('string');
  });

  it('says which base it runs on', () => {
    expect(read('manifest.yaml').bases).toEqual([{ name: 'ubuntu', channel: '22.04', architectures: ['amd64'] }]);
  });
});

describe('dispatch', () => {
  const place = mkdtempSync(join(tmpdir(), 'troupe-dispatch-'));
  afterAll(() => rmSync(place, { recursive: true, force: true }));
  const dispatch = join(place, 'dispatch');
  cpSync('deploy/charm/dispatch', dispatch);
  mkdirSync(join(place, 'bin'));
  // It tells what it was given.
  writeFileSync(join(place, 'bin/node'), '#!/bin/sh\nprintf "%s\\n" "$@"\nprintf "PWD=%s\\n" "$(pwd)"\nexit 7\n', {
    mode: 0o755,
  });
  const told = (command: string, env: Readonly<Record<string, string>>) => {
    const { status, stdout, stderr } = spawnSync(command, { cwd: '/', env: { PATH: '/usr/bin:/bin', ...env } });
    return { status, stdout: stdout.toString(), stderr: stderr.toString() };
  };
  const run = `--max-old-space-size=256\n--min-semi-space-size=8\n${join(place, 'lib/dispatch.cjs')}\nPWD=/\n`;

  it('may be executed, and is what any shell understands', () => {
    expect(statSync('deploy/charm/dispatch').mode & 0o777).toBe(0o755);
    expect(execFileSync('sh', ['-n', 'deploy/charm/dispatch']).toString()).toBe('');
  });

  it('hands over to its own Node and program by absolute paths, wherever it was started, and ends as that does', () => {
    const expected = { status: 7, stdout: run, stderr: '' };
    expect(told(dispatch, { JUJU_CHARM_DIR: place })).toEqual(expected);
    expect(told(dispatch, { JUJU_CHARM_DIR: '' })).toEqual(expected);
    expect(told(dispatch, {})).toEqual(expected);
  });
});
