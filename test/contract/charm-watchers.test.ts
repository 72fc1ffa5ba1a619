/** The charm and those who watch over it: what they are told, and what no hook pays for that is not about them. */
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { openPebble } from '../../src/infra/pebble/client.ts';
import { Random } from '../../src/actors/kit/random.ts';
import type { Exported } from '../../src/infra/pebble/exporters.ts';
import { openTelemetry, type Telemetry } from '../../src/infra/pebble/telemetry.ts';
import { application, CharmFleet, type CharmFleetOptions } from '../support/charm-fleet.ts';
import { grafana, loki, prometheus, tempo } from '../support/juju/watching-charms.ts';
import { OtlpServer } from '../support/otlp-server.ts';
import type { PebbleDaemon } from '../support/pebble/daemon.ts';
import { startSmallPebble } from '../support/pebble/small-pebble.ts';
import { testDirectory } from '../support/servers.ts';

const never = new AbortController().signal;
const environment = { PATH: '/usr/bin:/bin' };

/** Containers of units, two of them. */
const daemons = new Map<string, PebbleDaemon>();
beforeAll(async () => {
  for (const number of [0, 1])
    daemons.set(
      `${application}/${number}`,
      await startSmallPebble({ directory: await testDirectory('pw-'), environment }),
    );
});
afterAll(async () => {
  for (const daemon of daemons.values()) await daemon[Symbol.asyncDispose]();
});
const pebbleOf = (unit: string) => openPebble(daemons.get(unit)?.socket ?? '/nowhere');

/** Where the logs of a unit go, by the plan of its Pebble. */
const placesOf = async (unit: string): Promise<readonly string[]> => {
  const targets: Record<string, { location: string; services: string[] }> = parse(await pebbleOf(unit).plan(never))[
    'log-targets'
  ];
  return Object.values(targets)
    .flatMap(({ location, services }) => (services.length > 0 ? [location] : []))
    .toSorted((a, b) => a.localeCompare(b));
};
const everywhere = async () => Promise.all([0, 1].map((number) => placesOf(`${application}/${number}`)));

const telemetryOf = (unit: string): Telemetry =>
  openTelemetry({
    pebble: pebbleOf(unit),
    stateDir: '/nowhere/pgbouncer',
    exporter: 'pgbouncer_exporter',
    user: null,
    instances: 2,
    metricsPort: 9_127,
  });

const watched = async (seed: number, options: CharmFleetOptions = {}): Promise<CharmFleet> => {
  for (const daemon of daemons.values()) await daemon.startAgain();
  const fleet = await CharmFleet.open(seed, 2, {
    telemetryOf,
    ...options,
  });
  fleet.relateBackend();
  fleet.relateClient('orders');
  await fleet.settle();
  expect(fleet.statuses).toEqual(['active', 'active']);
  return fleet;
};

const urlOf = (unit: string): string => `http://${unit.replace('/', '-')}.loki:3100/loki/api/v1/push`;

const telling = (unit: string): string => JSON.stringify({ url: urlOf(unit) });

describe('logs', () => {
  it('of every unit go to every unit of Loki, follow them as they come and go, and stop with the relation', async () => {
    await using fleet = await watched(1);
    fleet.juju.deploy('loki', loki(telling), { units: 2 });
    const relation = fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    await fleet.settle();
    const both = [urlOf('loki/0'), urlOf('loki/1')];
    expect(await everywhere()).toEqual([both, both]);
    expect(fleet.juju.bag(relation, application)).toEqual({});

    fleet.juju.scale('loki', 1);
    await fleet.settle();
    expect(await everywhere()).toEqual([[both[0]], [both[0]]]);

    await daemons.get(`${application}/1`)?.startAgain();
    expect(await placesOf(`${application}/1`)).toEqual([]);
    fleet.juju.restartWorkload(`${application}/1`, 'pgbouncer');
    await fleet.settle();
    expect(await everywhere()).toEqual([[both[0]], [both[0]]]);

    fleet.juju.removeRelation(relation);
    await fleet.settle();
    expect(await everywhere()).toEqual([[], []]);
    expect(fleet.statuses).toEqual(['active', 'active']);
  });

  it('go nowhere when what Loki tells is no place, and no hook fails of that', async () => {
    await using fleet = await watched(2);
    const nonsense = ['', '{}', '[', '{"url": 7}', '{"url": "file:///etc/passwd"}', '{"url": "http://a b\\n"}', 'null'];
    fleet.juju.deploy(
      'loki',
      loki((unit) => nonsense[Number(unit.split('/')[1])] ?? ''),
      { units: nonsense.length },
    );
    fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    const ran = await fleet.settle();
    expect(ran.filter(({ succeeded }) => !succeeded)).toEqual([]);
    expect(await everywhere()).toEqual([[], []]);
  });

  it('go on being sent by a unit that leaves, and are told to a workload that was away once it is back', async () => {
    await using fleet = await watched(3);
    const away = daemons.get(`${application}/1`);
    await away?.kill();
    fleet.juju.deploy('loki', loki(telling));
    const relation = fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    await fleet.settle();
    await away?.startAgain();
    await fleet.settle();
    expect(await everywhere()).toEqual([[urlOf('loki/0')], [urlOf('loki/0')]]);
    await away?.kill();
    fleet.juju.removeRelation(relation);
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
    await away?.startAgain();
    await fleet.settle();
    expect(await everywhere()).toEqual([[], []]);
    fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    await fleet.settle();
    fleet.juju.scale(application, 1);
    await fleet.settle();
    expect(await everywhere()).toEqual([[urlOf('loki/0')], [urlOf('loki/0')]]);
  });

  it('stay where they are on a Juju whose Pebble cannot send them', async () => {
    await using fleet = await watched(4, { version: '3.3.0' });
    fleet.juju.deploy('loki', loki(telling));
    fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    await fleet.settle();
    expect(await everywhere()).toEqual([[], []]);
    expect(fleet.statuses).toEqual(['active', 'active']);
  });
});

const scrapedAt = (fleet: CharmFleet): number => {
  if (!fleet.juju.applications.has('prometheus')) fleet.juju.deploy('prometheus', prometheus);
  return fleet.juju.integrate(`${application}:metrics-endpoint`, 'prometheus:metrics-endpoint');
};

describe('metrics', () => {
  /** What becomes of exporters in a container, told by each unit. */
  const exporting = (answers: Record<string, Exported['kind']>, stopped: string[] = []): CharmFleetOptions => ({
    telemetryOf: (unit) => ({
      ...telemetryOf(unit),
      exportMetrics: async () => {
        const kind = answers[unit] ?? 'exported';
        return kind === 'failing' ? { kind, services: ['exporter_1_6432'] } : { kind };
      },
      stopExporters: async () => {
        stopped.push(unit);
        return { kind: 'told' };
      },
    }),
  });
  const units = [`${application}/0`, `${application}/1`];

  it('are offered by every unit and described by the leader, once', async () => {
    const stopped: string[] = [];
    await using fleet = await watched(11, exporting({}, stopped));
    const relation = scrapedAt(fleet);
    await fleet.settle();
    const {
      scrape_jobs: jobs = '',
      scrape_metadata: metadata = '',
      alert_rules: rules = '',
    } = fleet.juju.bag(relation, application);
    expect(JSON.parse(jobs).map((job: { static_configs: unknown }) => job.static_configs)).toEqual([
      [{ targets: ['*:9127'], labels: { pgbouncer: '1' } }],
      [{ targets: ['*:9128'], labels: { pgbouncer: '2' } }],
    ]);
    expect(JSON.parse(metadata)).toMatchObject({ model: 'prod', application, charm_name: application });
    expect(JSON.parse(rules).groups).toHaveLength(1);
    for (const unit of units)
      expect(fleet.juju.bag(relation, unit)).toMatchObject({
        prometheus_scrape_unit_name: unit,
        prometheus_scrape_unit_address: expect.stringMatching(/^[\w.-]+$/),
        prometheus_scrape_unit_fqdn: `${unit.replace('/', '-')}.${application}-endpoints.prod.svc.cluster.local`,
      });

    fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 2));
    await fleet.settle();
    expect(fleet.juju.bag(relation, application)['scrape_jobs']).toBe(jobs);

    fleet.juju.removeRelation(relation);
    await fleet.settle();
    expect([...new Set(stopped)].toSorted()).toEqual(units);
    const before = stopped.length;
    await fleet.settle();
    expect(stopped).toHaveLength(before);
  });

  it.each(['early', 'missing'] as const)('that cannot be read (%s) are not offered, until they can', async (kind) => {
    const answers: Record<string, Exported['kind']> = Object.fromEntries(units.map((unit) => [unit, 'early']));
    await using fleet = await watched(12, exporting(answers));
    const relation = scrapedAt(fleet);
    await fleet.settle();
    for (const unit of units) answers[unit] = kind;
    const ran = [...(await fleet.settle()), ...(await fleet.settle())];
    const said = ran.flatMap(({ unit, calls }) =>
      calls.flatMap(({ args }) => (args.join(' ').includes('no pgbouncer_exporter') ? [unit] : [])),
    );
    expect(said.toSorted()).toEqual(kind === 'missing' ? units : []);
    for (const member of [application, ...units])
      expect(Object.keys(fleet.juju.bag(relation, member)).filter((key) => /scrape|alert/.test(key))).toEqual([]);
    const remarked = async (): Promise<readonly string[] | undefined> => {
      const { results } = await fleet.juju.runAction(fleet.unitName(1), 'status');
      const told = fleetStatusSchema.parse(JSON.parse(String(results['status']))).units;
      return told.find(({ unit }) => unit === fleet.unitName(1))?.remarks.map(({ id }) => id);
    };
    expect(await remarked()).toEqual(kind === 'missing' ? ['no-exporter'] : []);
    for (const unit of units) answers[unit] = 'exported';
    await fleet.settle();
    expect(await remarked()).toEqual([]);
    expect(fleet.juju.bag(relation, application)['scrape_jobs']).toContain('9127');
    for (const unit of units) answers[unit] = kind;
    await fleet.settle();
    // Who is only away comes back: nobody is told that it went.
    const isOffered = fleet.juju.bag(relation, application)['scrape_jobs'] !== undefined;
    expect(isOffered).toBe(kind === 'early');
    expect(fleet.statuses).toEqual(['active', 'active']);
  });

  it('whose exporters fail are offered all the same: whoever reads them sees that', async () => {
    await using fleet = await watched(13, exporting({ [`${application}/0`]: 'failing' }));
    const relation = scrapedAt(fleet);
    await fleet.settle();
    expect(fleet.juju.bag(relation, `${application}/0`)).toHaveProperty('prometheus_scrape_unit_name');
  });
});

const shownIn = (fleet: CharmFleet): number => {
  if (!fleet.juju.applications.has('grafana')) fleet.juju.deploy('grafana', grafana);
  return fleet.juju.integrate(`${application}:grafana-dashboard`, 'grafana:grafana-dashboard');
};

describe('the dashboard', () => {
  it('is given to each Grafana, and stays the same under another leader', async () => {
    await using fleet = await watched(21);
    const relation = shownIn(fleet);
    await fleet.settle();
    const { dashboards = '' } = fleet.juju.bag(relation, application);
    expect(JSON.parse(dashboards).templates).toHaveProperty(['file:pgbouncer', 'content']);
    fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 2));
    const ran = await fleet.settle();
    expect(ran.filter(({ unit }) => unit.startsWith('grafana/'))).toEqual([]);
    expect(fleet.juju.bag(relation, application)).toEqual({ dashboards });
    fleet.juju.removeRelation(relation);
    await fleet.settle();
    const again = shownIn(fleet);
    await fleet.settle();
    expect(fleet.juju.bag(again, application)).toEqual({ dashboards });
  });
});

describe('traces', () => {
  const traced = async (seed: number, collector: OtlpServer): Promise<{ fleet: CharmFleet; relation: number }> => {
    const fleet = await watched(seed);
    fleet.juju.deploy('tempo', tempo(collector.url));
    const relation = fleet.juju.integrate(`${application}:tracing`, 'tempo:tracing');
    await fleet.settle();
    return { fleet, relation };
  };

  it('tell of every hook of every unit, and of the tools that it called, nothing that those were given', async () => {
    await using collector = await OtlpServer.open();
    const { fleet: made, relation } = await traced(31, collector);
    await using fleet = made;
    collector.taken.splice(0);
    fleet.juju.updateStatus(application);
    const ran = (await fleet.juju.settle()).filter(({ unit }) => unit.startsWith(application));
    expect(collector.taken.map(({ resource, spans }) => [resource['juju_unit'], spans[0]?.name])).toEqual(
      ran.map(({ unit, hook }) => [unit, hook]),
    );
    for (const [index, { resource, spans }] of collector.taken.entries()) {
      expect(resource).toMatchObject({ 'service.name': application, juju_model: 'prod', charm: application });
      const [whole, ...parts] = spans;
      // What it says of itself it says when the trace is gone.
      const called = (ran[index]?.calls ?? []).flatMap(({ tool }) => (tool === 'juju-log' ? [] : [tool]));
      expect(parts.map(({ name }) => name)).toEqual(called);
      for (const part of parts) {
        expect([part.traceId, part.parentSpanId]).toEqual([whole?.traceId, whole?.spanId]);
        expect(part.attributes).toEqual({});
      }
    }
    fleet.juju.removeRelation(relation);
    await fleet.settle();
    collector.taken.splice(0);
    await fleet.settle();
    expect(collector.taken).toEqual([]);
  });

  it.each([
    ['is silent', null],
    ['refuses', 500],
  ])('are dropped when who should take them %s, and no hook fails', async (_, answer) => {
    await using collector = await OtlpServer.open();
    await using fleet = (await traced(32, collector)).fleet;
    collector.answer = answer;
    fleet.juju.updateStatus(application);
    const begun = performance.now();
    const ran = await fleet.juju.settle();
    expect(ran.filter(({ succeeded }) => !succeeded)).toEqual([]);
    // A second for each of two units, and what a hook takes.
    expect(performance.now() - begun).toBeLessThan(2 * 1_000 + 4_000);
    expect(fleet.statuses).toEqual(['active', 'active']);
  });

  it('of a hook that fails say so', async () => {
    await using collector = await OtlpServer.open();
    await using fleet = (await traced(33, collector)).fleet;
    collector.taken.splice(0);
    let failures = 1;
    fleet.juju.faultAt = ({ unit, tool }) =>
      unit === `${application}/0` && tool === 'relation-get' && failures-- > 0 ? 'before' : null;
    fleet.juju.updateStatus(application);
    await fleet.juju.settle({ attempts: 10 });
    const failed = collector.taken.filter(({ spans }) => spans[0]?.status.code === 2);
    expect(failed.map(({ resource, spans }) => [resource['juju_unit'], spans[0]?.status.message])).toEqual([
      [`${application}/0`, 'exit code 1'],
    ]);
  });
});

describe('the peer relation upgrade', () => {
  it('is left as the charm of the same name left it, and none of its hooks does anything', async () => {
    await using fleet = await watched(41);
    const [relation = -1] = fleet.juju.relationsOf(application, 'upgrade');
    const left = { 'upgrade-stack': '[0]', dependencies: '{"charm": {"version": "1"}}' };
    const unit = fleet.unitName(fleet.leader());
    await fleet.juju.exec(unit, async ({ tools }) => {
      await tools.writeBag({ endpoint: 'upgrade', id: relation }, 'application', left);
      await tools.writeBag({ endpoint: 'upgrade', id: relation }, 'unit', { state: 'idle' });
    });
    fleet.juju.scale(application, 1);
    const ran = await fleet.settle();
    expect(ran.filter(({ succeeded }) => !succeeded)).toEqual([]);
    expect(ran.map(({ hook }) => hook)).toEqual(expect.arrayContaining(['upgrade-relation-departed']));
    expect(fleet.juju.bag(relation, application)).toEqual(left);
    expect(fleet.statuses).toEqual(['active']);
  });
});

describe('a hook that fails', () => {
  const history = async (seed: number, faultAt: CharmFleet['juju']['faultAt']) => {
    const exported: CharmFleetOptions['telemetryOf'] = (unit) => ({
      ...telemetryOf(unit),
      exportMetrics: async () => ({ kind: 'exported' }),
    });
    await using fleet = await watched(seed, { telemetryOf: exported });
    await using collector = await OtlpServer.open();
    fleet.juju.faultAt = faultAt;
    fleet.juju.deploy('loki', loki(telling), { units: 2 });
    fleet.juju.deploy('tempo', tempo(collector.url));
    const before = fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    const traces = fleet.juju.integrate(`${application}:tracing`, 'tempo:tracing');
    const relations = [scrapedAt(fleet), shownIn(fleet), traces];
    await fleet.settle();
    fleet.juju.removeRelation(before);
    fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 2));
    await fleet.settle();
    fleet.juju.scale('loki', 1);
    fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    await fleet.settle();
    const members = [application, fleet.unitName(0), fleet.unitName(1)];
    return {
      state: {
        logs: await everywhere(),
        bags: relations.map((relation) => members.map((member) => fleet.juju.bag(relation, member))),
        statuses: fleet.statuses,
      },
      failed: fleet.juju.history.filter(({ succeeded }) => !succeeded).length,
    };
  };

  it.each([51, 52, 53])(
    'at any call of a hook tool is run again, and all are told the same (seed %i)',
    async (seed) => {
      const calm = await history(seed, () => null);
      expect(calm.state.logs).toEqual([[urlOf('loki/0')], [urlOf('loki/0')]]);
      const random = new Random(seed);
      const faulty = await history(seed, ({ unit }) =>
        unit.startsWith(application) && random.chance(0.08)
          ? (random.pick(['before', 'after'] as const) ?? null)
          : null,
      );
      expect(faulty.failed).toBeGreaterThan(5);
      expect(faulty.state).toEqual(calm.state);
    },
  );
});

describe('a hook that is not about them', () => {
  it('calls not one hook tool more for being watched', async () => {
    await using fleet = await watched(5, {
      telemetryOf: (unit) => ({ ...telemetryOf(unit), exportMetrics: async () => ({ kind: 'exported' }) }),
    });
    await using collector = await OtlpServer.open();
    const callsOf = async () => {
      await fleet.settle();
      fleet.juju.updateStatus(application);
      return (await fleet.juju.settle()).map(({ unit, calls }) => [unit, calls.map(({ tool }) => tool)]);
    };
    const before = await callsOf();
    fleet.juju.deploy('loki', loki(telling), { units: 3 });
    fleet.juju.integrate(`${application}:logging`, 'loki:logging');
    scrapedAt(fleet);
    shownIn(fleet);
    fleet.juju.deploy('tempo', tempo(collector.url));
    fleet.juju.integrate(`${application}:tracing`, 'tempo:tracing');
    expect(await callsOf()).toEqual(before);
  });
});
