/** Logs of a container go where the relation tells, by a Pebble that cannot forget and keeps to the first place a target was given. */
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { openPebble, type Pebble } from '../../src/infra/pebble/client.ts';
import { forwardLogs } from '../../src/infra/pebble/log-targets.ts';
import { LokiServer } from '../support/loki-server.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { testDirectory } from '../support/servers.ts';

const never = new AbortController().signal;
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
const labels = { juju_unit: 'pgbouncer/0', juju_model: '1e3', quoted: '"yes": no' };

/** Where logs go by the plan. */
const placesOf = async (pebble: Pebble): Promise<readonly string[]> => {
  const targets: Record<string, { location: string; services: string[] }> =
    parse(await pebble.plan(never))?.['log-targets'] ?? {};
  return Object.values(targets).flatMap(({ location, services }) => (services.length > 0 ? [location] : []));
};

for (const { label, start, reason } of await pebbles()) {
  describe(`logs through ${label}`, () => {
    if (start === null) {
      it.skip(reason ?? 'it cannot be had here', () => {});
      return;
    }
    it('go to every place that is wanted, to another one when that changes, and nowhere at last', async () => {
      await using daemon = await start({ directory: await testDirectory('pl-'), environment });
      const pebble = openPebble(daemon.socket);
      await using first = await LokiServer.open();
      await using second = await LokiServer.open();
      await pebble.addLayer(
        'talkative',
        { services: { talks: { override: 'replace', command: `sh -c 'while :; do echo said; sleep 0.1; done'` } } },
        never,
      );
      await pebble.ended(await pebble.act('start', ['talks'], never), 10_000, never);
      await forwardLogs(pebble, { locations: [first.url, second.url], labels }, never);
      await Promise.all([first, second].map((loki) => loki.until(({ line }) => line === 'said')));
      expect(first.said[0]?.labels).toEqual({ ...labels, pebble_service: 'talks' });

      await forwardLogs(pebble, { locations: [second.url], labels }, never);
      expect(await placesOf(pebble)).toEqual([second.url]);
      await forwardLogs(pebble, { locations: [first.url], labels: { juju_unit: 'pgbouncer/7' } }, never);
      expect(await placesOf(pebble)).toEqual([first.url]);
      await first.until((said) => said.labels['juju_unit'] === 'pgbouncer/7');

      await forwardLogs(pebble, { locations: [], labels }, never);
      expect(await placesOf(pebble)).toEqual([]);
      await pebble.ended(await pebble.act('stop', ['talks'], never), 10_000, never);
    });

    it('are told of once: a plan that is as it should be is left alone, and targets of others too', async () => {
      await using daemon = await start({ directory: await testDirectory('pl-'), environment });
      const pebble = openPebble(daemon.socket);
      const layers: string[] = [];
      const watched: Pebble = {
        ...pebble,
        addLayer: async (name, layer, signal) => {
          layers.push(name);
          await pebble.addLayer(name, layer, signal);
        },
      };
      const others = { override: 'replace', type: 'loki', location: 'http://127.0.0.1:1/others', services: ['all'] };
      await pebble.addLayer('of-the-image', { 'log-targets': { others } }, never);
      const wanted = { locations: ['http://127.0.0.1:1/loki'], labels: { juju_unit: 'pgbouncer/0' } };
      for (let time = 0; time < 3; time += 1) await forwardLogs(watched, wanted, never);
      expect(layers).toHaveLength(1);
      for (let time = 0; time < 3; time += 1) await forwardLogs(watched, { ...wanted, locations: [] }, never);
      expect(layers).toHaveLength(2);
      expect(await placesOf(pebble)).toEqual([others.location]);
      await daemon.startAgain();
      await forwardLogs(watched, wanted, never);
      expect(await placesOf(pebble)).toEqual(wanted.locations);
    });
  });
}
