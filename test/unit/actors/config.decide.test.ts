import { describe, expect, it } from 'vitest';
import { decideWith } from '../../../src/actors/config/decide.ts';
import { type ConfigEffect, type ConfigState, initial } from '../../../src/actors/config/state.ts';
import type { BackendFacts } from '../../../src/actors/model/backend.ts';
import { type Budget, budgetsIn, grantOf, sum } from '../../../src/actors/model/budget.ts';
import type { Change } from '../../../src/actors/model/change.ts';
import type { FleetSpec, Published, Verdict } from '../../../src/actors/model/fleet-spec.ts';
import type { Intent } from '../../../src/actors/model/intent.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { ConfigMessage, ServedClient } from '../../../src/actors/protocol.ts';
import {
  accountOf,
  backendOf,
  bagOf,
  clientOf,
  generation,
  intentOf,
  leadershipOf,
  publishedOf,
  relation,
  snapshotOf,
  unit,
  unitRecordOf,
  wall,
  nonce,
} from '../../support/builders.ts';

const decide = decideWith({ self: unit(0), answerMs: 8_000, shrinkMs: 10_000, rejoinMs: 5_000 });
const ready: BackendFacts = {
  kind: 'ready',
  primary: { host: 'db1', port: 5432 },
  standbys: [],
  version: 170_000,
  systemId: '1',
  timeline: 1,
  silent: [],
  clientConnections: 97,
  maxConnections: 100,
  ailments: [],
};
const orders: ServedClient = {
  id: relation(2),
  name: 'orders',
  database: 'orders',
  backend: 'main',
  account: accountOf(),
};
const clear: Verdict = { covers: 0, good: null, refused: null };

const actor = () => {
  let state: ConfigState = initial;
  let now = 0;
  let effects: ConfigEffect[] = [];
  const feed = (message: ConfigMessage, after = 1) => {
    now += after;
    const decided = decide(state, message, now);
    state = decided.state;
    effects.push(...(decided.effects ?? []));
  };
  const ask = (change: Change, expected: number | null = null, request = 'r1') =>
    feed({ type: 'changeAsked', request, change, expected, author: 'alice', reason: '', wall: wall(5) });
  return {
    feed,
    ask,
    observe: (intent: Intent | null = intentOf(), published: Published | null = null, verdict = clear) =>
      feed({ type: 'observed', snapshot: snapshotOf({ intent, published, verdict }) }),
    lead: () => feed({ type: 'leadershipTold', leadership: leadershipOf() }),
    roster: (...units: ReturnType<typeof unitRecordOf>[]) => feed({ type: 'rosterTold', units }),
    facts: (facts: BackendFacts = ready) =>
      feed({ type: 'backendsTold', facts: new Map([['main', facts]]), under: leadershipOf().epoch }),
    clients: (...clients: ServedClient[]) => feed({ type: 'clientsTold', clients }),
    take: () => effects.splice(0),
    state: () => state,
    waits: () => state.waits.map(({ id }) => id),
  };
};
const publishOf = (effects: readonly ConfigEffect[]): FleetSpec => {
  const [effect] = effects.filter(({ type }) => type === 'publish');
  if (effect?.type !== 'publish') throw new Error(`nothing was published: ${JSON.stringify(effects)}`);
  return effect.spec;
};
/** A leader that knows everything, with the generation that follows from it published and acknowledged. */
const settled = (intent = intentOf()) => {
  const config = actor();
  config.observe(intent);
  config.lead();
  config.facts();
  config.clients(orders);
  config.roster(unitRecordOf(0));
  const spec = publishOf(config.take());
  const published = publishedOf({ spec, intentVersion: intent.version });
  config.feed({ type: 'publishAnswered', outcome: 'committed', published });
  const [verdict] = config.take();
  if (verdict?.type === 'judge') config.feed({ type: 'judgeAnswered', verdict: verdict.verdict, outcome: 'committed' });
  return { config, published };
};

describe('a unit that the roster lacks', () => {
  const three = [unitRecordOf(0), unitRecordOf(1), unitRecordOf(2)];
  const withThree = () => {
    const { config, published } = settled();
    config.roster(...three);
    const spec = publishOf(config.take());
    config.feed({
      type: 'publishAnswered',
      outcome: 'committed',
      published: { ...published, spec, generation: generation(2) },
    });
    config.take();
    return config;
  };
  const slotsIn = (effects: readonly ConfigEffect[]) => publishOf(effects).slots.map((slot) => slot.unit);

  it('keeps its share while it may come back: a store that lost the roster hears of its units one by one', () => {
    const config = withThree();
    config.roster(unitRecordOf(2));
    config.feed({ type: 'ticked', wall: wall(0) }, 4_000);
    config.roster(unitRecordOf(0), unitRecordOf(2));
    config.roster(...three);
    config.feed({ type: 'ticked', wall: wall(0) }, 10_000);
    expect(config.take().filter(({ type }) => type === 'publish')).toEqual([]);
  });

  it('has left when it does not come back', () => {
    const config = withThree();
    config.roster(unitRecordOf(0), unitRecordOf(2));
    config.feed({ type: 'ticked', wall: wall(0) }, 4_990);
    expect(config.take().filter(({ type }) => type === 'publish')).toEqual([]);
    config.feed({ type: 'ticked', wall: wall(0) }, 20);
    expect(slotsIn(config.take())).toEqual([unit(0), unit(2)]);
  });

  it('is not waited for when it was to leave', () => {
    const config = withThree();
    const departures = [{ unit: unit(1), nonce: nonce('n1'), forced: false }];
    const { published, verdict } = config.state();
    config.observe(intentOf({ departures }), published.known ? published.value : null, verdict);
    config.roster(unitRecordOf(0), unitRecordOf(2));
    expect(slotsIn(config.take())).toEqual([unit(0), unit(2)]);
  });
});

describe('publishing', () => {
  it('needs every input: each missing one alone holds it back, and the message that brings it publishes', () => {
    const bring = {
      observe: (config: ReturnType<typeof actor>) => config.observe(),
      lead: (config: ReturnType<typeof actor>) => config.lead(),
      facts: (config: ReturnType<typeof actor>) => config.facts(),
      clients: (config: ReturnType<typeof actor>) => config.clients(orders),
      roster: (config: ReturnType<typeof actor>) => config.roster(unitRecordOf(0)),
    };
    for (const [missing, last] of Object.entries(bring)) {
      const config = actor();
      for (const [name, give] of Object.entries(bring)) if (name !== missing) give(config);
      expect(config.take(), missing).toEqual([]);
      last(config);
      expect(publishOf(config.take()).databases, missing).toMatchObject([{ name: 'orders', host: 'db1' }]);
    }
  });

  it('does not happen again for an equal spec, and says which intent it covers', () => {
    const { config, published } = settled();
    config.observe(intentOf({ version: 2 }), published, config.state().verdict);
    expect(config.take()).toMatchObject([{ type: 'judge', verdict: { covers: 2 } }]);
  });

  it('never shrinks because a leader is new: with the same facts in any order nothing is published', () => {
    const { published } = settled();
    const next = actor();
    next.lead();
    next.roster(unitRecordOf(0));
    next.observe(intentOf(), published, {
      covers: 1,
      good: { generation: generation(1), intentVersion: 1, options: {} },
      refused: null,
    });
    next.clients(orders);
    next.facts();
    expect(next.take()).toEqual([]);
  });

  it('follows what a client is to have for itself, whatever the client actor has said last', () => {
    const { config } = settled();
    const client = clientOf({ poolMode: 'session', budget: 10, timeouts: { queryTimeout: 30 } });
    config.observe(intentOf({ version: 2, clients: { orders: client } }));
    expect(publishOf(config.take()).users).toMatchObject([
      { name: 'pgbouncer_orders_2', poolMode: 'session', maxConnections: 10, timeouts: { queryTimeout: 30 } },
    ]);
  });

  it('has a database ask by the first of its clients that makes logins, with the password of that login', () => {
    const account = { username: 'pgbouncer_orders_2_lookup', password: new Secret('open sesame') };
    const { config } = settled();
    config.clients({ ...orders, lookup: account });
    const { databases, users } = publishOf(config.take());
    expect(databases).toMatchObject([{ name: 'orders', lookup: account.username }]);
    expect(users.find(({ name }) => name === account.username)?.secret.reveal()).toBe('open sesame');
  });

  it('leaves out a login whose client the intent no longer names', () => {
    const { config } = settled();
    config.observe(intentOf({ version: 2, clients: {} }));
    expect(publishOf(config.take()).users).toEqual([]);
  });

  it('keeps the address of a backend that is away', () => {
    const { config } = settled();
    config.facts({ kind: 'away', reason: 'connection refused' });
    expect(config.take()).toEqual([]);
  });

  it('is tried again after no answer, from the facts of that moment', () => {
    const config = actor();
    config.observe();
    config.lead();
    config.facts();
    config.clients(orders);
    config.roster(unitRecordOf(0));
    publishOf(config.take());
    config.feed({ type: 'publishAnswered', outcome: 'unavailable', published: null });
    expect(config.take()).toEqual([]);
    config.feed({ type: 'ticked', wall: wall(0) }, 600);
    expect(publishOf(config.take()).databases).toHaveLength(1);
  });

  it('refuses a budget that the fleet cannot divide, with the smallest that fits', () => {
    const config = actor();
    config.observe(intentOf({ options: { max_db_connections: 3 } }));
    config.lead();
    config.facts();
    config.clients(orders);
    config.roster(unitRecordOf(0), unitRecordOf(1));
    expect(config.take()).toEqual([]);
    expect(config.state().waits).toMatchObject([
      { id: 'budget', kind: 'blocked', message: expect.stringContaining('set it to 4') },
    ]);
  });
});

describe('a budget', () => {
  const limited = (max: number, version = 1) => intentOf({ version, options: { max_db_connections: max } });
  const serving = (number: number, applied: number, budget: { given: number; held: number | null } | null = null) =>
    unitRecordOf(number, {
      bag: bagOf({
        applied: generation(applied),
        budget: budget === null ? [] : [{ of: 'database', name: 'orders', used: budget.given, ...budget }],
      }),
    });
  /** A leader under which these units have taken the first generation. */
  const leading = (max: number, ...units: ReturnType<typeof unitRecordOf>[]) => {
    const config = actor();
    config.observe(limited(max));
    config.lead();
    config.facts();
    config.clients(orders);
    config.roster(...units);
    let number = 0;
    const publish = (): FleetSpec => {
      const effects = config.take();
      const spec = publishOf(effects);
      number += 1;
      const published = publishedOf({ generation: generation(number), spec, intentVersion: 1 });
      config.feed({ type: 'publishAnswered', outcome: 'committed', published });
      return spec;
    };
    const first = publish();
    return { config, publish, first };
  };
  const noBudget: Budget = { of: 'database', name: 'none', maxConnections: 0 };
  const sharesIn = ({ databases, users, slots, holdings }: FleetSpec): readonly number[] =>
    slots.map((slot) => sum(grantOf({ slots, holdings }, budgetsIn({ databases, users })[0] ?? noBudget, slot.unit)));

  it('moves in two generations when a unit joins: first the others shrink, then it gets its share', () => {
    const { config, publish, first } = leading(60, serving(0, 1), serving(1, 1));
    expect([sharesIn(first), first.holdings]).toEqual([[30, 30], []]);
    config.roster(serving(0, 1), serving(1, 1), unitRecordOf(2, { bag: null }));
    expect(sharesIn(publish())).toEqual([20, 20, 0]);
    expect(config.state().waits).toMatchObject([
      { id: 'budget:database:orders', kind: 'waiting', on: 'pgbouncer/0, pgbouncer/1' },
    ]);
    const newcomer = serving(2, 2, { given: 0, held: 0 });
    config.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 1, { given: 30, held: 30 }), newcomer);
    config.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 2, { given: 20, held: 27 }), newcomer);
    expect(config.take().filter(({ type }) => type === 'publish')).toEqual([]);
    expect(config.state().waits).toMatchObject([
      { message: expect.stringContaining('pgbouncer/1 may hold 27 and is to have 20') },
    ]);
    config.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 2, { given: 20, held: 20 }), newcomer);
    const last = publish();
    expect([sharesIn(last), last.holdings]).toEqual([[20, 20, 20], []]);
    expect(config.waits()).toEqual([]);
  });

  it('in the middle of a change is known to the next leader, which publishes nothing new', () => {
    const { config, publish } = leading(60, serving(0, 1), serving(1, 1));
    config.roster(serving(0, 1), serving(1, 1), unitRecordOf(2, { bag: null }));
    const spec = publish();
    const published = publishedOf({ generation: generation(2), spec, intentVersion: 1 });
    const next = actor();
    next.observe(limited(60), published, { covers: 1, good: null, refused: null });
    next.facts();
    next.clients(orders);
    next.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 1), unitRecordOf(2, { bag: null }));
    next.lead();
    expect(next.take()).toEqual([]);
  });

  it('that units are slow to give back goes to the others as far as it is free, after a while', () => {
    const { config, publish } = leading(60, serving(0, 1), serving(1, 1));
    config.roster(serving(0, 1), serving(1, 1), unitRecordOf(2, { bag: null }));
    publish();
    const newcomer = serving(2, 2, { given: 0, held: 0 });
    config.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 2, { given: 20, held: 27 }), newcomer);
    config.feed({ type: 'ticked', wall: wall(0) }, 9_000);
    expect(config.take().filter(({ type }) => type === 'publish')).toEqual([]);
    config.feed({ type: 'ticked', wall: wall(0) }, 2_000);
    expect(sharesIn(publish())).toEqual([20, 20, 13]);
  });

  it('are not waited for anew by a leader that was started again', () => {
    const { config, publish } = leading(60, serving(0, 1), serving(1, 1));
    config.roster(serving(0, 1), serving(1, 1), unitRecordOf(2, { bag: null }));
    const spec = publish();
    const published = publishedOf({ generation: generation(2), spec, intentVersion: 1, at: wall(1_000_000) });
    const sharesAfter = (ms: number) => {
      const next = actor();
      next.feed({ type: 'recalled', memory: { verified: null, waits: [] }, published, wall: wall(1_000_000 + ms) });
      next.observe(limited(60), published, { covers: 1, good: null, refused: null });
      next.facts();
      next.clients(orders);
      const newcomer = serving(2, 2, { given: 0, held: 0 });
      next.roster(serving(0, 2, { given: 20, held: 20 }), serving(1, 2, { given: 20, held: 27 }), newcomer);
      next.lead();
      return next.take().flatMap((effect) => (effect.type === 'publish' ? [sharesIn(effect.spec)] : []));
    };
    expect(sharesAfter(9_000)).toEqual([]);
    expect(sharesAfter(11_000)).toEqual([[20, 20, 13]]);
  });

  it('without room for a unit that joins goes on as it is, and says which one would have room', () => {
    const { config, first } = leading(4, serving(0, 0), serving(1, 0));
    expect(first.slots).toHaveLength(2);
    config.roster(serving(0, 1), serving(1, 1), unitRecordOf(2, { bag: null }));
    const effects = config.take();
    expect(effects.filter(({ type }) => type === 'publish')).toEqual([]);
    expect(effects).toMatchObject([{ type: 'judge', verdict: { good: { generation: 1 } } }]);
    expect(config.state().waits).toMatchObject([
      {
        id: 'budget',
        kind: 'blocked',
        message: expect.stringMatching(/pgbouncer\/2.*set it to 6 or more/),
      },
    ]);
    config.ask({ type: 'setOptions', options: { query_timeout: 5 } });
    expect(config.take()).toContainEqual(expect.objectContaining({ type: 'changeIntent' }));
  });

  it('too small for those that have a share already is refused at the door', () => {
    const { config } = leading(4, serving(0, 1), serving(1, 1));
    config.take();
    config.ask({ type: 'setOptions', options: { max_db_connections: 3 } });
    expect(config.take()).toContainEqual({
      type: 'answer',
      request: 'r1',
      outcome: { kind: 'refused', reason: expect.stringContaining('set it to 4 or more') },
    });
  });

  it('is held on to for a unit that starts again with more instances than it has room for', () => {
    const { config, publish } = leading(5, serving(0, 1), serving(1, 1));
    config.roster({ ...serving(0, 1), instances: 4 }, serving(1, 1));
    expect(config.take().filter(({ type }) => type === 'publish')).toEqual([]);
    config.roster({ ...serving(0, 1), instances: 3 }, serving(1, 1));
    expect(publish().slots.map(({ instances }) => instances)).toEqual([3, 2]);
  });
});

describe('judging', () => {
  it('calls a generation good when every live unit serves it', () => {
    const { config, published } = settled();
    config.roster(unitRecordOf(0, { bag: bagOf({ applied: null }) }));
    config.observe(intentOf({ version: 2, options: { query_timeout: 5 } }), published, config.state().verdict);
    const spec = publishOf(config.take());
    config.feed({
      type: 'publishAnswered',
      outcome: 'committed',
      published: publishedOf({ generation: generation(2), spec, intentVersion: 2 }),
    });
    config.take();
    config.feed({ type: 'judgeAnswered', verdict: { ...config.state().verdict, covers: 2 }, outcome: 'committed' });
    config.roster(unitRecordOf(0, { bag: bagOf({ applied: generation(2) }) }));
    expect(config.take()).toMatchObject([
      { type: 'judge', verdict: { good: { generation: 2, intentVersion: 2, options: { query_timeout: 5 } } } },
    ]);
  });

  it('goes back to the options of the good intent when a unit refuses, and does not publish the refused one again', () => {
    const { config, published } = settled();
    const wish = intentOf({ version: 2, options: { query_timeout: 5 } });
    config.observe(wish, published, config.state().verdict);
    const refusedSpec = publishOf(config.take());
    const second = publishedOf({ generation: generation(2), spec: refusedSpec, intentVersion: 2 });
    config.feed({ type: 'publishAnswered', outcome: 'committed', published: second });
    config.take();
    config.roster(unitRecordOf(0, { bag: bagOf({ refused: { generation: generation(2), reason: 'invalid value' } }) }));
    config.feed({ type: 'judgeAnswered', verdict: config.state().verdict, outcome: 'committed' });
    const [judge] = config.take();
    expect(judge).toMatchObject({
      type: 'judge',
      verdict: { refused: { intentVersion: 2, reason: 'pgbouncer/0: invalid value' } },
    });
    if (judge?.type !== 'judge') throw new Error('not judged');
    config.feed({ type: 'judgeAnswered', verdict: judge.verdict, outcome: 'committed' });
    expect(publishOf(config.take())).toEqual(published.spec);
    expect(config.waits()).toContain('intent-refused');
  });
});

describe('changes', () => {
  it('are written on top of the intent as known, and answered with its version', () => {
    const { config } = settled();
    config.ask({ type: 'setOptions', options: { pool_mode: 'transaction' } });
    const [effect] = config.take();
    expect(effect).toMatchObject({
      type: 'changeIntent',
      intent: { version: 2, author: 'alice', options: { pool_mode: 'transaction' } },
    });
    if (effect?.type !== 'changeIntent') throw new Error('nothing was written');
    config.feed({ type: 'intentAnswered', intent: effect.intent, outcome: 'committed' });
    const effects = config.take();
    expect(effects).toContainEqual({ type: 'answer', request: 'r1', outcome: { kind: 'accepted', version: 2 } });
    expect(publishOf(effects).options).toMatchObject({ pool_mode: 'transaction' });
  });

  it('are told that somebody else was faster when they depend on what was looked at', () => {
    const { config } = settled();
    config.ask({ type: 'setOptions', options: { query_timeout: 5 } }, 0);
    expect(config.take()).toMatchObject([{ outcome: { kind: 'moved', version: 1, by: 'alice' } }]);
  });

  it('lost to a faster one are tried on top of it after the next reading', () => {
    const { config, published } = settled();
    config.ask({ type: 'setOptions', options: { query_timeout: 5 } });
    const [effect] = config.take();
    if (effect?.type !== 'changeIntent') throw new Error('nothing was written');
    config.feed({ type: 'intentAnswered', intent: effect.intent, outcome: 'conflict' });
    expect(config.take()).toEqual([]);
    config.observe(intentOf({ version: 2, options: { pool_mode: 'statement' } }), published, config.state().verdict);
    const [again] = config.take().filter(({ type }) => type === 'changeIntent');
    expect(again).toMatchObject({ intent: { version: 3, options: { pool_mode: 'statement', query_timeout: 5 } } });
  });

  it('are answered by their deadline although the backplane never is', () => {
    const config = actor();
    config.ask({ type: 'setOptions', options: { query_timeout: 5 } });
    config.feed({ type: 'ticked', wall: wall(0) }, 7_000);
    expect(config.take()).toEqual([]);
    config.feed({ type: 'ticked', wall: wall(0) }, 2_000);
    expect(config.take()).toMatchObject([{ type: 'answer', outcome: { kind: 'unavailable' } }]);
  });

  const backend: Change = {
    type: 'addBackend',
    name: 'main',
    endpoints: ['db1:5432'],
    username: 'u',
    password: new Secret('p'),
    maintenanceDatabase: 'postgres',
  };
  const client = (changes: object): Change => ({
    type: 'addClient',
    name: 'c',
    database: 'd',
    backend: null,
    extraUserRoles: [],
    ...changes,
  });
  it.each<[string, Change, Intent | null, string]>([
    ['an unknown option', { type: 'setOptions', options: { poolmode: 'session' } }, null, 'did you mean pool_mode'],
    ['a reserved option', { type: 'setOptions', options: { auth_type: 'trust' } }, null, 'integrate a client'],
    [
      'the reset of what is no option',
      { type: 'setOptions', options: { poolmode: null } },
      null,
      'did you mean pool_mode',
    ],
    ['an octal-looking text', { type: 'setOptions', options: { listen_port: '06432' } }, null, 'plain decimal'],
    ['a negative limit', { type: 'setOptions', options: { max_client_conn: -5 } }, null, 'from 1 to'],
    ['a relation name in capitals', { ...backend, name: 'Main' } as Change, null, 'lower-case'],
    ['an endpoint without port', { ...backend, endpoints: ['db1'] } as Change, null, 'host:port'],
    ['a port out of range', { ...backend, endpoints: ['db1:70000'] } as Change, null, 'host:port'],
    ['a client without any backend', client({}), null, 'no backend yet'],
    ['a client of an unknown backend', client({ backend: 'other' }), intentOf(), 'no backend "other"'],
    ['a database name with a quote', client({ database: "a'b" }), intentOf(), 'cannot be written'],
    ['the reserved database', client({ database: 'pgbouncer' }), intentOf(), 'reserved'],
    ['an unknown role', client({ extraUserRoles: ['superuser'] }), intentOf(), 'superuser'],
    ['another life of a client', client({ name: 'orders', database: 'other' }), intentOf(), 'remove it first'],
    ['a client with a budget below nothing', client({ settings: { budget: -1 } }), intentOf(), 'from 0 to'],
    [
      'a client with half a second',
      client({ settings: { timeouts: { queryTimeout: 0.5 } } }),
      intentOf(),
      'query-timeout=0.5 must be whole seconds',
    ],
    ['a client with a name of JavaScript', client({ name: 'constructor' }), intentOf(), 'choose another'],
    ['removing what is not there', { type: 'removeRelation', name: 'nope' }, intentOf(), 'main, orders'],
    ['removing a backend in use', { type: 'removeRelation', name: 'main' }, intentOf(), 'still serves "orders"'],
  ])('refuse %s with words, and write nothing', (_, change, intent, words) => {
    const config = actor();
    config.observe(intent);
    config.ask(change);
    const [answer, ...others] = config.take();
    expect(others).toEqual([]);
    expect(JSON.stringify(answer).replaceAll('\\"', '"')).toContain(words);
    expect(answer).toMatchObject({ type: 'answer', outcome: { kind: expect.stringMatching(/invalid|refused/) } });
  });

  describe('that a unit departs', () => {
    const leave = (number: number, force = false) => ({ type: 'removeUnit', unit: unit(number), force }) as const;
    const rostered = (...units: ReturnType<typeof unitRecordOf>[]) => {
      const config = actor();
      config.observe(intentOf());
      config.roster(...units);
      return config;
    };
    const live = [unitRecordOf(0), unitRecordOf(1)];

    it('name the life that is meant, and are kept although the options would not fit', () => {
      const config = actor();
      config.observe(intentOf({ options: { max_db_connections: 3 } }));
      config.roster(...live);
      config.ask(leave(1));
      expect(config.take()).toMatchObject([
        { type: 'changeIntent', intent: { departures: [{ unit: unit(1), nonce: nonce('n1'), forced: false }] } },
      ]);
    });

    it.each([
      ['nobody', 7, live, 'there is no unit pgbouncer/7 (there are: pgbouncer/0, pgbouncer/1)'],
      [
        'the last one that serves',
        0,
        [unitRecordOf(0), unitRecordOf(1, { presence: 'down' })],
        'the last unit that serves',
      ],
      ['a silent one', 1, [unitRecordOf(0), unitRecordOf(1, { presence: 'silent' })], 'its PgBouncers may well serve'],
    ])('are refused for %s, and forced are not', (_, number, units, words) => {
      const config = rostered(...units);
      config.ask(leave(number));
      expect(JSON.stringify(config.take())).toContain(words);
      config.ask(leave(number, true));
      expect(config.take()[0]?.type).toBe(number === 7 ? 'answer' : 'changeIntent');
    });

    it('are kept for one that is down, without force', () => {
      const config = rostered(unitRecordOf(0), unitRecordOf(1, { presence: 'down' }));
      config.ask(leave(1));
      expect(config.take()).toMatchObject([{ type: 'changeIntent' }]);
    });

    it('count a unit that leaves already as gone, and are asked once', () => {
      const config = actor();
      const departures = [{ unit: unit(0), nonce: nonce('n0'), forced: false }];
      config.observe(intentOf({ departures }));
      config.roster(...live);
      config.ask(leave(1));
      expect(JSON.stringify(config.take())).toContain('the last unit that serves');
      config.ask(leave(0));
      expect(config.take()).toMatchObject([{ outcome: { kind: 'unchanged' } }]);
      config.ask(leave(0, true));
      expect(config.take()).toMatchObject([{ intent: { departures: [{ unit: unit(0), forced: true }] } }]);
    });

    it('are forgotten with the next change when that life is over', () => {
      const config = actor();
      const departures = [
        { unit: unit(0), nonce: nonce('an earlier life'), forced: false },
        { unit: unit(1), nonce: nonce('n1'), forced: false },
      ];
      config.observe(intentOf({ departures }));
      config.roster(...live);
      config.ask({ type: 'setOptions', options: { pool_mode: 'statement' } });
      expect(config.take()).toMatchObject([{ intent: { departures: [{ unit: unit(1) }] } }]);
    });

    it('wait until the roster has been read', () => {
      const config = actor();
      config.observe();
      config.ask(leave(1));
      expect(JSON.stringify(config.take())).toContain('has not read the roster yet');
    });
  });

  it('that are so already change nothing', () => {
    const config = actor();
    config.observe(intentOf({ options: { pool_mode: 'session' } }));
    config.ask({ type: 'setOptions', options: { pool_mode: 'session' } });
    expect(config.take()).toMatchObject([{ outcome: { kind: 'unchanged', version: 1 } }]);
  });

  it('give a client that is there other settings, and nothing else', () => {
    const config = actor();
    const before = clientOf({ extraUserRoles: ['createdb'], budget: 10, timeouts: { queryTimeout: 5 } });
    config.observe(intentOf({ clients: { orders: before } }));
    config.ask(
      client({
        name: 'orders',
        database: 'orders',
        extraUserRoles: null,
        settings: { poolMode: 'session', budget: 0 },
      }),
    );
    expect(config.take()).toMatchObject([
      { intent: { nextRelation: 3, clients: { orders: { ...before, poolMode: 'session', budget: null } } } },
    ]);
  });

  it('of a budget that some instance would have nothing of are refused with the least that fits', () => {
    const config = actor();
    config.observe();
    config.roster(unitRecordOf(0), unitRecordOf(1, { instances: 3 }));
    config.ask(client({ settings: { budget: 4 } }));
    const [answer] = config.take();
    expect(answer).toMatchObject({
      outcome: {
        kind: 'refused',
        reason: expect.stringMatching(
          /^the budget 4 of client "c" is too small for 5 instances on 2 units.*set it to 5 or/,
        ),
      },
    });
    config.ask(client({ settings: { budget: 5 } }));
    expect(config.take()).toMatchObject([{ type: 'changeIntent' }]);
  });

  it('never give a relation id twice', () => {
    const config = actor();
    config.observe(intentOf({ clients: {}, nextRelation: relation(7) }));
    config.ask(client({}));
    expect(config.take()).toMatchObject([{ intent: { nextRelation: 8, clients: { c: { id: 7, backend: 'main' } } } }]);
  });
});

describe('the cluster of a backend', () => {
  const standing = (spec: FleetSpec) => publishedOf({ generation: generation(3), spec });
  const composed = (published: Published | null, facts: BackendFacts, intent = intentOf()) => {
    const config = actor();
    config.observe(intent, published);
    config.lead();
    config.roster(unitRecordOf(0));
    config.facts(facts);
    config.clients(orders);
    return config.take();
  };
  const first = publishOf(composed(null, ready));
  const stranger: BackendFacts = { ...ready, primary: { host: 'db9', port: 5432 }, systemId: '2' };

  it('is kept from the first generation on', () => {
    expect(first.backends).toEqual([{ name: 'main', systemId: '1' }]);
    expect(composed(standing(first), ready).filter(({ type }) => type === 'publish')).toEqual([]);
  });

  it('is not another one behind the same addresses: nobody is sent there', () => {
    expect(composed(standing(first), stranger).filter(({ type }) => type === 'publish')).toEqual([]);
  });

  it('is the other one when the operator accepts it, and from then on', () => {
    const accepting = intentOf({ version: 2, backends: { main: backendOf({ cluster: '2' }) } });
    expect(composed(standing(first), ready, accepting).filter(({ type }) => type === 'publish')).toEqual([]);
    const moved = publishOf(composed(standing(first), stranger, accepting));
    expect(moved).toMatchObject({ backends: [{ name: 'main', systemId: '2' }], databases: [{ host: 'db9' }] });
    const back = composed(standing(moved), ready, accepting);
    expect(back.filter(({ type }) => type === 'publish')).toEqual([]);
  });

  it('is what it was where nobody may read which one it is', () => {
    const blind = publishOf(composed(null, { ...ready, systemId: 'unknown' }));
    expect(blind.backends).toEqual([]);
    expect(
      composed(standing(first), { ...ready, systemId: 'unknown' }).filter(({ type }) => type === 'publish'),
    ).toEqual([]);
  });
});
