import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadUnitSettings } from '../../src/settings.ts';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const defaults = { stateDir: '/state', runDir: '/run/troupe', cpus: 2 };
const farewellMs = 10_000;

/** How long a unit with these settings may take to stop; fails for settings that a unit refuses. */
const longestStopMs = (environment: Readonly<Record<string, string>>): number => {
  const loaded = loadUnitSettings(environment, {}, defaults);
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('; '));
  return loaded.settings.drainDelayMs + loaded.settings.drainDeadlineMs + farewellMs;
};

describe('docker-compose.yml', () => {
  const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true });

  it('gives units settings that they take, and time to drain', () => {
    const { environment, stop_grace_period: grace } = services.unit;
    expect(Number.parseInt(grace, 10) * 1_000).toBeGreaterThan(longestStopMs(environment));
  });

  it('builds each image for one service alone: two would be two images, and the next `up` would replace the containers of one', () => {
    const built = Object.keys(services).filter((name) => services[name].build !== undefined);
    expect(built.toSorted()).toEqual(['haproxy', 'unit']);
  });

  it('has a health check for each service, in it or in its image', () => {
    const without = Object.keys(services).filter((name) => services[name].healthcheck === undefined);
    expect(without.toSorted()).toEqual(['haproxy', 'unit']);
    for (const file of ['deploy/Dockerfile', 'deploy/haproxy/Dockerfile'])
      expect(readFileSync(file, 'utf8')).toMatch(/^HEALTHCHECK /m);
  });
});

describe('the example for Kubernetes', () => {
  const documents = parseAllDocuments(readFileSync('deploy/kubernetes/troupe.yaml', 'utf8')).map((one) => one.toJS());
  const { spec } = documents.find(({ kind }) => kind === 'StatefulSet');
  const [container] = spec.template.spec.containers;

  it('gives units settings that they take, and time to drain', () => {
    const literal: readonly { name: string; value?: string }[] = container.env;
    const settings = literal.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
    const graceMs = spec.template.spec.terminationGracePeriodSeconds * 1_000;
    expect(graceMs).toBeGreaterThan(longestStopMs(Object.fromEntries(settings)));
  });

  it('offers what connection strings say, and keeps sockets where not everybody may write', () => {
    const service = documents.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'pgbouncer');
    expect(service.spec.ports).toMatchObject([{ port: 6432, targetPort: 'postgres' }]);
    const runDir: string = container.env.find(({ name }: { name: string }) => name === 'TROUPE_RUN_DIR').value;
    const mounted = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
    expect([mounted.includes(runDir), mounted.includes(dirname(runDir))]).toEqual([false, true]);
  });

  it('has the version of this package, mounts what it declares, and selects its own pods', () => {
    expect(container.image).toBe(`troupe:${version}`);
    const declared = [
      ...spec.template.spec.volumes,
      ...spec.volumeClaimTemplates.map((claim: { metadata: object }) => claim.metadata),
    ];
    const names = (list: readonly { name: string }[]) => list.map(({ name }) => name).toSorted();
    expect(names(container.volumeMounts)).toEqual(names(declared));
    expect(documents.some(({ kind, metadata }) => kind === 'Service' && metadata.name === spec.serviceName)).toBe(true);
    expect(spec.selector.matchLabels).toEqual(spec.template.metadata.labels);
  });
});

describe('the unit for systemd', () => {
  const file = 'deploy/systemd/troupe@.service';

  it('leaves a unit time to drain', () => {
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(readFileSync(file, 'utf8')) ?? [];
    expect(Number(seconds) * 1_000).toBeGreaterThan(longestStopMs({}));
  });

  it('is one that systemd understands', async ({ skip }) => {
    if (spawnSync('systemd-analyze', ['--version']).error !== undefined) skip('there is no systemd-analyze here');
    const directory = mkdtempSync(join(tmpdir(), 'troupe-systemd-'));
    try {
      const copy = join(directory, 'troupe@.service');
      // The program need not be installed where this is looked at.
      writeFileSync(copy, readFileSync(file, 'utf8').replace(/^ExecStart=troupe /m, `ExecStart=${process.execPath} `));
      const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', copy]);
      expect(stdout + stderr).toBe('');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
