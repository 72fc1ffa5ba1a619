/** What is told to those who watch, read by libraries that nobody here wrote. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { dashboard } from '../../src/infra/juju/wire/dashboard.ts';
import { storedXz } from '../../src/infra/juju/wire/xz.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { Counterparts } from '../support/juju/counterparts.ts';
import { counterpartsPython } from '../support/juju/counterparts-python.ts';
import { OtlpServer } from '../support/otlp-server.ts';

const python = await counterpartsPython();
const where = python.run === null ? `: ${python.reason}` : '';

describe.skipIf(python.run === null)(`who watches, beside counterparts${where}`, { timeout: 300_000 }, () => {
  it('reads where metrics are, alerts and the dashboard, and takes traces', async () => {
    const records = await mkdtemp(join(tmpdir(), 'troupe-counterparts-'));
    try {
      await using collector = await OtlpServer.open();
      await using fleet = await CharmFleet.open(1, 1, {
        telemetryOf: () => ({
          metricsPort: 9_127,
          forwardLogs: async () => ({ kind: 'told' }),
          exportMetrics: async () => ({ kind: 'exported' }),
          stopExporters: async () => ({ kind: 'told' }),
        }),
      });
      const { juju } = fleet;
      const counterparts = new Counterparts(python.run ?? '', records);
      juju.deploy('watcher', counterparts.charm('watcher'), counterparts.options({ takesTracesAt: collector.url }));
      for (const endpoint of ['metrics-endpoint', 'grafana-dashboard', 'tracing'])
        juju.integrate(`${application}:${endpoint}`, `watcher:${endpoint}`);
      fleet.relateBackend();
      await fleet.settle();

      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      const told = await counterparts.told('watcher/0');
      const [short] = juju.uuid.split('-');
      expect(told).toContainEqual(
        expect.objectContaining({
          event: 'Scraped',
          identifier: `prod_${short}_${application}`,
          targets: ['*:9127', '*:9128'],
          labelled: true,
          alerts: 5,
        }),
      );
      const { uid, panels } = dashboard();
      expect(told).toContainEqual(
        expect.objectContaining({ event: 'Shown', of: application, uid, panels: panels.length }),
      );
      expect(told).toContainEqual(expect.objectContaining({ event: 'Requested', protocols: ['otlp_http'] }));
      expect(collector.taken.length).toBeGreaterThan(0);
    } finally {
      await rm(records, { recursive: true, force: true });
    }
  });

  it('unpacks what was packed, of any size', async () => {
    const sizes = [0, 1, 2, 3, 4, 5, 127, 128, 0xffff, 0x1_0000, 0x1_0001, 0x2_0000, 200_000];
    const script = [
      'import base64, json, lzma, sys',
      'contents = [lzma.decompress(base64.b64decode(text)) for text in json.load(sys.stdin)]',
      'print(json.dumps([[len(content), set(content) <= {97, 98}] for content in contents]))',
    ].join('\n');
    const reading = promisify(execFile)(python.run ?? '', ['-c', script]);
    const packed = sizes.map((size) => storedXz(Buffer.alloc(size, 'ab')).toString('base64'));
    reading.child.stdin?.end(JSON.stringify(packed));
    expect(JSON.parse((await reading).stdout)).toEqual(sizes.map((size) => [size, true]));
  });
});
