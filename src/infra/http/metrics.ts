import type { FleetStatus } from '../../actors/model/status.ts';
import type { StatusWord } from '../../actors/model/waits.ts';

/** Prometheus text: what this unit is, does and lacks, and how it sees the fleet. What is not known has no sample. */
export const metricsText = (status: FleetStatus, version: string, isReady: boolean): string => {
  const { answeredBy, budgets, generation, leader, units, relations } = status;
  const own = units.find(({ unit }) => unit === answeredBy);
  const waits = own?.waits ?? [];
  const shares = own?.budget ?? [];
  return [
    metric('troupe_info', 'Which unit this is, and the version of its coordinator.', [
      [1, { application: status.application, unit: answeredBy, version }],
    ]),
    metric('troupe_status', 'The status of this unit.', oneOf(statusWords, 'status', own?.status ?? 'unknown')),
    metric('troupe_ready', 'Whether a load balancer may send clients to this unit.', [[isReady ? 1 : 0]]),
    metric('troupe_leaving', 'Whether the operator asked for the departure of this unit.', [[own?.leaving ? 1 : 0]]),
    metric('troupe_leads', 'Whether this unit leads.', [[leader?.unit === answeredBy ? 1 : 0]]),
    metric('troupe_leader_epoch', 'Epoch of the leader, as this unit sees it.', [[leader?.epoch ?? null]]),
    metric(
      'troupe_leader',
      'Which unit leads, as this unit sees it.',
      leader === null ? [] : [[1, { leader: leader.unit }]],
    ),
    metric(
      'troupe_backplane_state',
      'The state of the store, as this unit sees it.',
      oneOf(backplaneStates, 'state', status.backplane.state),
    ),
    metric('troupe_backplane_connected', 'Whether the store answers this unit.', [
      [status.backplane.state === 'connected' ? 1 : 0],
    ]),
    metric('troupe_intent_version', 'Version of what the operator asked for.', [[status.intent?.version ?? null]]),
    metric('troupe_generation_published', 'Newest generation.', [[generation.published]]),
    metric('troupe_generation_good', 'Newest generation that every unit has verified.', [[generation.good]]),
    metric('troupe_generation_applied', 'Generation that the instances of this unit serve.', [
      [own?.generation.applied ?? null],
    ]),
    metric('troupe_generation_refused', 'Generation that this unit refuses, while it does.', [
      [own?.generation.refused?.generation ?? null],
    ]),
    metric('troupe_intent_refused', 'Version of the intent that the fleet refuses, while it does.', [
      [generation.refused?.intentVersion ?? null],
    ]),
    metric(
      'troupe_units',
      'Units of the fleet, as this unit sees them.',
      statusWords.map((word) => [count(units, ({ status: it }) => it === word), { status: word }]),
    ),
    metric(
      'troupe_instances',
      'PgBouncer processes of this unit.',
      instanceStates.map((state) => [count(own?.instances ?? [], (instance) => instance.state === state), { state }]),
    ),
    metric(
      'troupe_pgbouncer_info',
      'The PgBouncer that runs as each instance of this unit.',
      (own?.instances ?? []).map(({ id, version: is }) => [
        is === null ? null : 1,
        { instance: `${id}`, version: `${is}` },
      ]),
    ),
    metric(
      'troupe_relations',
      'Backends and clients.',
      relationStates.flatMap((state) =>
        endpoints.map(
          (endpoint): Sample => [
            count(relations, (relation) => relation.endpoint === endpoint && relation.state === state),
            { endpoint, state },
          ],
        ),
      ),
    ),
    metric(
      'troupe_budget_connections',
      'Server connections that the whole fleet may have.',
      budgets.map(({ of, name, total }) => [total, { of, name }]),
    ),
    metric(
      'troupe_budget_given',
      'Share of this unit.',
      shares.map(({ of, name, given }) => [given, { of, name }]),
    ),
    metric(
      'troupe_budget_used',
      'Server connections that are open on this unit.',
      shares.map(({ of, name, used }) => [used, { of, name }]),
    ),
    metric(
      'troupe_budget_held',
      'Most that may be open on this unit: above its share while some must still close.',
      shares.map(({ of, name, held }) => [held, { of, name }]),
    ),
    metric('troupe_waits', 'How many things this unit lacks.', [[waits.length]]),
    metric(
      'troupe_wait_start_timestamp_seconds',
      'Since when this unit lacks it.',
      waits.map(({ id, kind, on, since }) => [Date.parse(since) / 1000, { id, kind, on }]),
    ),
  ].join('');
};

/** 1 for what is so, 0 for all else that could be: a rule can ask for each of them. */
const oneOf = (all: readonly string[], label: string, now: string): readonly Sample[] =>
  all.map((one) => [one === now ? 1 : 0, { [label]: one }]);

const backplaneStates: readonly FleetStatus['backplane']['state'][] = [
  'connected',
  'unreachable',
  'recovering',
  'reseeding',
  'conflicted',
];
const statusWords: readonly StatusWord[] = ['active', 'waiting', 'blocked', 'maintenance', 'down', 'unknown'];
const instanceStates = ['serving', 'starting', 'stopped', 'failing'] as const;
const relationStates = ['active', 'waiting', 'blocked'] as const;
const endpoints = ['backend-database', 'database'] as const;

type Sample = readonly [value: number | null, labels?: Readonly<Record<string, string>>];

/** A family of samples; of two with the same labels one is left, because Prometheus takes none at all when it sees both. */
const metric = (name: string, help: string, samples: readonly Sample[]): string => {
  const series = new Map(
    samples.flatMap(([value, labels]) =>
      value === null ? [] : [[labels === undefined ? '' : labelsText(labels), value]],
    ),
  );
  const lines = [...series].map(([labels, value]) => `${name}${labels} ${value}\n`);
  return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`;
};

const labelsText = (labels: Readonly<Record<string, string>>): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/["\\\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`)
    .join(',')}}`;

const count = <T>(items: readonly T[], isCounted: (item: T) => boolean): number => items.filter(isCounted).length;
