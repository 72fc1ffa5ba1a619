/** Metrics of real PgBouncers, read by an exporter beside each: who it logs in as, what is seen of its password, what it stands in the way of. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTelemetry, type Telemetry } from '../../src/infra/pebble/telemetry.ts';
import { exporterProgram } from '../support/exporter.ts';
import { PebbleMachine } from '../support/pebble/pebble-machine.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { pgbouncerBinaries, testAccount } from '../support/servers.ts';
import { address, inspect, never, pair, pidsOf, serve, take } from './workload.contract.ts';

const binary = (await pgbouncerBinaries()).findLast(({ run }) => run !== null);

for (const { label, start, reason } of await pebbles()) {
  describe(`metrics of PgBouncer ${binary?.version ?? ''} under ${label}`, () => {
    const { run = null } = binary ?? {};
    if (start === null || run === null || binary === undefined) {
      it.skip(reason ?? binary?.reason ?? 'it cannot be had here', () => {});
      return;
    }
    let machine: PebbleMachine;
    let port: number;
    let metricsPort: number;
    beforeEach(async () => {
      machine = await PebbleMachine.open({ version: binary.version, run }, start);
      port = await machine.freePort([address]);
      metricsPort = await machine.freePort(['0.0.0.0']);
    });
    afterEach(async () => {
      await machine[Symbol.asyncDispose]();
    });
    const telemetryWith = async (exporter: string, instances = 1): Promise<Telemetry> =>
      openTelemetry({
        pebble: await machine.pebbleOf('a'),
        stateDir: machine.stateDir('a'),
        exporter,
        user: process.getuid?.() === 0 ? testAccount().name : null,
        instances,
        metricsPort,
      });
    const open = async (instances = 1) => (await machine.open({ ...pair, instances })).workload;
    const services = async () => {
      const all = await (await machine.pebbleOf('a')).services([], never);
      return all.flatMap(({ name, current }) => (name.startsWith('exporter_') ? [`${name} ${current}`] : []));
    };
    const scraped = async (instance = 1): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${metricsPort + instance - 1}/metrics`, {
        signal: AbortSignal.timeout(5_000),
      });
      return answer.text();
    };
    const isUp = (text: string): boolean => /^pgbouncer_up 1$/m.test(text);

    it('are read at the port of its instance, and no more when nobody wants them', async () => {
      const telemetry = await telemetryWith((await exporterProgram()).path);
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'early' });
      await serve(await open(), { port, canary: 'gen-1' });
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'exported' });
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
      expect(await scraped()).toMatch(
        /^pgbouncer_pools_client_active_connections\{database="pgbouncer",user="pgbouncer"\} /m,
      );
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'exported' });
      await expect.poll(services).toEqual([`exporter_1_${port} active`]);
      expect(await telemetry.stopExporters()).toEqual({ kind: 'told' });
      expect(await services()).toEqual([`exporter_1_${port} inactive`]);
      await expect(scraped()).rejects.toThrow();
    });

    it('cost no secret: neither the plan nor any command or environment holds the password', async () => {
      const telemetry = await telemetryWith((await exporterProgram()).path);
      await serve(await open(), { port, canary: 'gen-1' });
      await telemetry.exportMetrics();
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
      const [probe] = await machine.loginsOf('a');
      const secret = probe.password.reveal();
      const file = join(machine.stateDir('a'), 'exporter.pgpass');
      expect(await readFile(file, 'utf8')).toContain(secret);
      expect((await stat(file)).mode & 0o777).toBe(0o400);
      expect(await (await machine.pebbleOf('a')).plan(never)).not.toContain(secret);
      const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      for (const pid of processes)
        for (const what of ['cmdline', 'environ'])
          expect(await readFile(`/proc/${pid}/${what}`, 'utf8').catch(() => '')).not.toContain(secret);
    });

    it('follow an instance to another port, and a container that begins anew', async () => {
      const telemetry = await telemetryWith((await exporterProgram()).path);
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      await telemetry.exportMetrics();
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
      await take(workload, { type: 'stop', instances: [1] });
      const next = await machine.freePort([address]);
      await serve(workload, { port: next, canary: 'gen-2' });
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'exported' });
      await expect
        .poll(services)
        .toEqual(expect.arrayContaining([`exporter_1_${port} inactive`, `exporter_1_${next} active`]));
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
      await machine.startContainerAgain('a');
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'early' });
      await serve(await open(), { port: next, canary: 'gen-2' });
      expect(await telemetry.exportMetrics()).toEqual({ kind: 'exported' });
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
    });

    it('of an instance that is gone are not those of another one, though that listens everywhere', async () => {
      const telemetry = await telemetryWith((await exporterProgram()).path, 2);
      const { workload } = await machine.open({ ...pair, listenAddress: '0.0.0.0' });
      await serve(workload, { port, canary: 'gen-1' });
      await telemetry.exportMetrics();
      for (const instance of [1, 2]) await expect.poll(() => scraped(instance), { timeout: 10_000 }).toSatisfy(isUp);
      const [first] = pidsOf(await inspect(workload));
      machine.signal(first ?? 0, 'SIGKILL');
      await expect.poll(() => scraped(1), { timeout: 10_000 }).not.toSatisfy(isUp);
      expect(await scraped(2)).toSatisfy(isUp);
    });

    it('are read no more from an instance that drains, which would wait for who reads them as for a client', async () => {
      const telemetry = await telemetryWith((await exporterProgram()).path);
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      await telemetry.exportMetrics();
      await expect.poll(() => scraped(), { timeout: 10_000 }).toSatisfy(isUp);
      expect(await take(workload, { type: 'drain', instances: [1] })).toEqual({ kind: 'done' });
      expect(await services()).toEqual([`exporter_1_${port} inactive`]);
    });

    it('are not offered by an image without an exporter, and one that does not run is told', async () => {
      await serve(await open(), { port, canary: 'gen-1' });
      expect(await (await telemetryWith('/nowhere/pgbouncer_exporter')).exportMetrics()).toEqual({ kind: 'missing' });
      expect(await services()).toEqual([]);
      const failing = await telemetryWith('/bin/false');
      await failing.exportMetrics();
      const service = `exporter_1_${port}`;
      await expect.poll(services, { timeout: 10_000 }).not.toEqual([`${service} active`]);
      await expect
        .poll(() => failing.exportMetrics(), { timeout: 10_000 })
        .toEqual({ kind: 'failing', services: [service] });
    });
  });
}
