/**
 * What the ancestor defers, by its charts: under Juju each of these is a wait of a unit, with an id, and ends by a hook that brings
 * what was missing. One row for each arrow; the order of hooks that Juju allows makes the situation.
 */
import { describe, expect, it } from 'vitest';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';

/** Every deferral arrow and every box that says "defer", chart by chart, in our words. Some boxes say what an arrow says already. */
const charts = {
  'charm startup': [
    'start, without a container',
    'start of a follower, before the leader has published',
    'pebble-ready, before anything is published',
    'a backend relation, before PgBouncer runs',
    'the peer relation, before there is anything to share',
    'the peer relation, before there is a backend',
    'a client relation, before there is a backend',
    'a client relation, before PgBouncer runs',
  ],
  'config updates': [],
  'leader updates': ['relations, until another leader is elected'],
  'start hook': ['start, without a container', 'start of a follower, before the leader has published'],
  'pebble-ready hook': ['pebble-ready, before anything is published'],
  'config-changed hook': ['config-changed of a leader that cannot publish yet'],
  'update-status hook': [
    'update-status, without a backend that answers',
    'update-status, while PgBouncer does not run',
  ],
} as const;
type Deferral = (typeof charts)[keyof typeof charts][number];

interface Row {
  readonly units: number;
  /** Makes the situation; the unit that lacks something. */
  readonly arrange: (fleet: CharmFleet) => Promise<number>;
  readonly word: 'waiting' | 'blocked';
  /** The wait, and who can end it. */
  readonly lacks: readonly [id: string, on: string];
  readonly bring: (fleet: CharmFleet, unit: number) => Promise<void>;
  /** The hook of that unit after which the wait is gone. Each looks at everything: it is the next one after what was brought. */
  readonly endsBy: RegExp;
}

/** A unit that does not lead, and has run no hook yet. */
const follower = (fleet: CharmFleet): number => (fleet.leader() === 0 ? 1 : 0);

/** As far as Juju lets it go while the leader has not begun. */
const aloneUpTo =
  (hook: string, isRelated = true) =>
  async (fleet: CharmFleet): Promise<number> => {
    if (isRelated) fleet.relateBackend();
    const unit = follower(fleet);
    if (hook === 'pgbouncer-pebble-ready') fleet.containerGoes(unit);
    await fleet.upTo(unit, 'install');
    if (hook === 'pgbouncer-pebble-ready') fleet.containerComes(unit);
    await fleet.upTo(unit, hook);
    expect(fleet.machine.processOf(fleet.unitName(unit), 1)).toBeNull();
    return unit;
  };

const leaderBegins = async (fleet: CharmFleet): Promise<void> => {
  await fleet.upTo(fleet.leader(), 'start');
};

const serving = async (fleet: CharmFleet): Promise<number> => {
  fleet.relateBackend();
  fleet.relateClient('orders');
  await fleet.settle();
  expect(new Set(fleet.statuses)).toEqual(new Set(['active']));
  return fleet.leader();
};

const rows: Record<Deferral, Row> = {
  'start, without a container': {
    units: 1,
    arrange: async (fleet) => {
      fleet.containerGoes(0);
      fleet.relateBackend();
      await fleet.upTo(0, 'start');
      return 0;
    },
    word: 'waiting',
    lacks: ['workload', 'workload'],
    bring: async (fleet) => fleet.containerComes(0),
    endsBy: /^pgbouncer-pebble-ready$/,
  },
  'start of a follower, before the leader has published': {
    units: 2,
    arrange: aloneUpTo('start'),
    word: 'waiting',
    lacks: ['fleet-spec', 'leader'],
    bring: leaderBegins,
    endsBy: /^(pgb-peers|upgrade)-relation-(joined|changed)$/,
  },
  'pebble-ready, before anything is published': {
    units: 2,
    arrange: aloneUpTo('pgbouncer-pebble-ready'),
    word: 'waiting',
    lacks: ['fleet-spec', 'leader'],
    bring: leaderBegins,
    endsBy: /^(pgb-peers|upgrade)-relation-(joined|changed)$/,
  },
  'a backend relation, before PgBouncer runs': {
    units: 1,
    arrange: async (fleet) => {
      fleet.containerGoes(0);
      fleet.relateBackend();
      await fleet.settle();
      return 0;
    },
    word: 'waiting',
    lacks: ['backend:main', 'workload'],
    bring: async (fleet) => fleet.containerComes(0),
    endsBy: /^pgbouncer-pebble-ready$/,
  },
  'the peer relation, before there is anything to share': {
    units: 2,
    arrange: aloneUpTo('pgb-peers-relation-created', false),
    word: 'blocked', // It has no backend either.
    lacks: ['fleet-spec', 'leader'],
    bring: leaderBegins,
    endsBy: /^(pgb-peers|upgrade)-relation-(joined|changed)$/,
  },
  'the peer relation, before there is a backend': {
    units: 1,
    arrange: async (fleet) => {
      await fleet.upTo(0, 'pgb-peers-relation-created');
      expect(fleet.loginsOn(0)).toEqual([]);
      return 0;
    },
    word: 'blocked',
    lacks: ['backend', 'operator'],
    bring: async (fleet) => void fleet.relateBackend(),
    endsBy: /^backend-database-relation-changed$/,
  },
  'a client relation, before there is a backend': {
    units: 1,
    arrange: async (fleet) => {
      const orders = fleet.relateClient('orders');
      await fleet.settle();
      expect(fleet.answerTo(orders)['secret-user']).toBeUndefined();
      return 0;
    },
    word: 'blocked',
    lacks: ['client:orders:backend', 'backend:main'],
    bring: async (fleet) => void fleet.relateBackend(),
    endsBy: /^backend-database-relation-changed$/,
  },
  'a client relation, before PgBouncer runs': {
    units: 2,
    arrange: async (fleet) => {
      fleet.relateBackend();
      await fleet.settle();
      fleet.containerGoes(follower(fleet));
      const orders = fleet.relateClient('orders');
      await fleet.settle();
      expect(fleet.answerTo(orders)['secret-user']).toBeUndefined();
      return fleet.leader();
    },
    word: 'waiting',
    lacks: ['client:orders:units', 'the other'],
    bring: async (fleet) => fleet.containerComes(follower(fleet)),
    endsBy: /^(pgb-peers|upgrade)-relation-(joined|changed)$/,
  },
  'relations, until another leader is elected': {
    units: 2,
    arrange: async (fleet) => {
      await serving(fleet);
      fleet.juju.moveLeadership(application, fleet.unitName(1));
      await fleet.settle();
      const before = fleet.lease();
      fleet.juju.scale(application, 1);
      // Leadership is free for as long as Juju takes to hear that its holder is gone.
      fleet.juju.moveLeadership(application, null);
      fleet.relateClient('reports');
      await fleet.settle();
      expect(fleet.lease()).toEqual(before);
      return 0;
    },
    word: 'waiting',
    lacks: ['leader', 'units'],
    bring: async (fleet) => fleet.juju.moveLeadership(application, fleet.unitName(0)),
    endsBy: /^leader-elected$/,
  },
  'config-changed of a leader that cannot publish yet': {
    units: 1,
    arrange: async (fleet) => {
      fleet.containerGoes(0);
      fleet.relateBackend();
      await fleet.settle();
      fleet.juju.configure(application, { pool_mode: 'transaction' });
      await fleet.upTo(0, 'config-changed');
      return 0;
    },
    word: 'waiting',
    lacks: ['backend-facts', 'backend:main'],
    bring: async (fleet) => fleet.containerComes(0),
    endsBy: /^pgbouncer-pebble-ready$/,
  },
  'update-status, without a backend that answers': {
    units: 2,
    arrange: async (fleet) => {
      const leader = await serving(fleet);
      fleet.postgres.away = 'connection refused';
      fleet.juju.updateStatus(application);
      await fleet.upTo(leader, 'update-status');
      return leader;
    },
    word: 'blocked',
    lacks: ['backend:main', 'backend:main'],
    bring: async (fleet) => {
      fleet.postgres.away = null;
      fleet.juju.updateStatus(application);
    },
    endsBy: /^update-status$/,
  },
  'update-status, while PgBouncer does not run': {
    units: 2,
    arrange: async (fleet) => {
      const leader = await serving(fleet);
      fleet.containerGoes(leader);
      fleet.juju.updateStatus(application);
      await fleet.upTo(leader, 'update-status');
      return leader;
    },
    word: 'waiting',
    lacks: ['workload', 'workload'],
    bring: async (fleet, unit) => fleet.containerComes(unit),
    endsBy: /^pgbouncer-pebble-ready$/,
  },
};

interface Told {
  readonly units: readonly {
    readonly unit: string;
    readonly status: string;
    readonly waits: readonly { readonly id: string; readonly on: string; readonly message: string }[];
  }[];
}

/** As the `status` action of that unit tells it: Juju runs it before any other hook. */
const toldBy = async (fleet: CharmFleet, unit: number): Promise<Told['units'][number]> => {
  const name = fleet.unitName(unit);
  const outcome = fleet.juju.startAction(name, 'status');
  await fleet.upTo(unit, 'action:status');
  const status: Told = JSON.parse(String((await outcome).results['status']));
  const own = status.units.find((one) => one.unit === name);
  if (own === undefined) throw new Error(`${name} does not tell of itself`);
  return own;
};

/** The hook of that unit after which it no longer lacks this. */
const hookThatEnds = async (fleet: CharmFleet, unit: number, wait: string): Promise<string> => {
  const next = async () => (await fleet.juju.stepOf(fleet.unitName(unit))) ?? (await fleet.juju.step());
  for (let ran = await next(); ran !== null; ran = await next()) if (!fleet.waits(unit).includes(wait)) return ran.hook;
  throw new Error(`no hook ends ${wait}: ${fleet.waits(unit).join()}`);
};

describe('what the ancestor defers is a wait under Juju, and ends', () => {
  it.each(Object.entries(rows))('%s', async (_, { units, arrange, word, lacks: [id, on], bring, endsBy }) => {
    await using fleet = await CharmFleet.open(1, units, { clock: createHurriedClock(5_000) });
    const unit = await arrange(fleet);
    expect(fleet.status(unit)).toMatch(new RegExp(`^${word}: `));
    const told = await toldBy(fleet, unit);
    const other = fleet.unitName(follower(fleet));
    expect(told.waits).toContainEqual(expect.objectContaining({ id, on: on === 'the other' ? other : on }));
    expect(fleet.status(unit)).toMatch(new RegExp(`^${word}: `));
    await bring(fleet, unit);
    expect(await hookThatEnds(fleet, unit, id)).toMatch(endsBy);
    if (fleet.juju.relationsOf(application, 'backend-database').length === 0) fleet.relateBackend();
    await fleet.settle();
    for (const name of fleet.juju.unitsOf(application)) {
      const number = Number(name.split('/')[1]);
      expect([fleet.status(number), fleet.waits(number)]).toEqual(['active', []]);
    }
  });

  it('has a row for every arrow and every box of the charts', () => {
    expect(new Set(Object.keys(rows))).toEqual(new Set(Object.values(charts).flat()));
  });
});

describe('PgBouncer that cannot run', () => {
  it('is tried at every hook, and told as needing somebody (instances)', async () => {
    await using fleet = await CharmFleet.open(1, 1, { clock: createHurriedClock(5_000) });
    await serving(fleet);
    {
      fleet.containerGoes(0);
      using _ = fleet.machine.occupy('127.0.2.1', 6432);
      fleet.containerComes(0);
      await fleet.settle();
      expect(fleet.status(0)).toMatch(/^blocked: instances of .* do not come to serve: .* is held by process/);
      expect((await toldBy(fleet, 0)).waits).toContainEqual(
        expect.objectContaining({ id: 'instances', on: 'operator' }),
      );
    }
    fleet.juju.updateStatus(application);
    await fleet.settle();
    expect([fleet.status(0), fleet.waits(0)]).toEqual(['active', []]);
  });
});
