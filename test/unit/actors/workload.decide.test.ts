import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWith, dueWith } from '../../../src/actors/workload/decide.ts';
import { initial, type WorkloadEffect, type WorkloadState } from '../../../src/actors/workload/state.ts';
import { remarksNew } from '../../../src/actors/model/remark.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { FleetSpec, Published } from '../../../src/actors/model/fleet-spec.ts';
import type {
  ConnectedClient,
  Inspection,
  InstanceFact,
  Layout,
  Rendered,
  StepOutcome,
} from '../../../src/actors/model/workload.ts';
import { databasesIn } from '../../../src/pgbouncer/ini.ts';
import type { WorkloadMessage } from '../../../src/actors/protocol.ts';
import { parseVersion } from '../../../src/pgbouncer/version.ts';
import { generation, publishedOf, specOf, unit, wall, userOf } from '../../support/builders.ts';

const settings = {
  self: unit(0),
  advertise: null,
  inspectMs: 1_000,
  drainDelayMs: 0,
  drainDeadlineMs: 5_000,
  observeOnly: false,
};
const layout: Layout = {
  listenAddress: '127.0.0.11',
  authFile: '/state/userlist.txt',
  retiring: [],
  probe: { username: 'troupe_probe', verifier: new Secret('SCRAM-SHA-256$probe') },
  instances: [1, 2].map((id) => ({ id, ini: `/state/${id}/pgbouncer.ini`, socketDir: `/run/${id}` })),
};
const verdict = { covers: 0, good: null, refused: null };
const told = (number: number, changes: Partial<Published> = {}): WorkloadMessage => ({
  type: 'generationTold',
  published: publishedOf({
    generation: generation(number),
    spec: specOf({ options: { listen_port: 6432, query_timeout: number } }),
    ...changes,
  }),
  verdict,
});

/** Disk and processes as plain data: what the steps would do to them. */
const world = (runs = '1.24.1') => {
  const version = parseVersion(`PgBouncer ${runs}`);
  if (version === null) throw new Error(`no version: ${runs}`);
  let clients: readonly ConnectedClient[] = [];
  let disk: Rendered | null = null;
  const processes = new Map<number, { pid: number; canary: string | null; limit: number | null }>();
  /** Connections open to the one database, by instance. */
  const open = new Map<number, number>();
  let pid = 100;
  let refuses: (rendered: Rendered) => boolean = () => false;
  let obstacles: Inspection['obstacles'] = [];
  let binary: Inspection['binary'] = { kind: 'found', version };
  let stumbles: Extract<StepOutcome, { readonly kind: 'failed' }> | null = null;
  let about: Partial<InstanceFact> = {};
  let attested = false;
  let state: WorkloadState = initial;
  let decide = decideWith(settings);
  let now = 0;
  const taken: string[] = [];
  const inspection = (): Inspection => ({
    binary,
    layout,
    disk: {
      authFile: disk?.authFile ?? null,
      instances: layout.instances.map(({ id }) => ({
        id,
        ini: disk?.instances.find((one) => one.id === id)?.ini ?? null,
      })),
    },
    instances: layout.instances.map(({ id }): InstanceFact => {
      const running = processes.get(id);
      return {
        id,
        state: running === undefined ? 'absent' : 'running',
        pid: running?.pid ?? null,
        version: running === undefined ? null : version,
        canary: running?.canary ?? null,
        paused: false,
        pools:
          running === undefined || running.limit === null
            ? []
            : [
                {
                  of: 'database',
                  name: 'orders',
                  limit: running.limit,
                  open: open.get(id) ?? 0,
                  databases: ['orders'],
                },
              ],
        ...(id === 1 && running !== undefined ? about : {}),
      };
    }),
    obstacles,
    attested,
  });
  const loaded = (id: number) => {
    const entry = databasesIn(disk?.instances.find((one) => one.id === id)?.ini ?? '').get('orders');
    const limit = entry === undefined ? null : Number(entry.get('max_db_connections') ?? 0);
    return { canary: disk?.canary ?? null, limit };
  };
  const answer = (effect: WorkloadEffect): WorkloadMessage => {
    if (effect.type === 'inspect')
      return { type: 'inspected', inspection: inspection(), clients: effect.clients ? clients : null };
    const { step } = effect;
    taken.push('instances' in step ? `${step.type} ${step.instances.join()}` : step.type);
    if (step.type === 'prove' && refuses(step.rendered))
      return { type: 'stepTaken', step: 'prove', outcome: { kind: 'refused', reason: 'invalid value' } };
    if (stumbles !== null && step.type !== 'prove') return { type: 'stepTaken', step: step.type, outcome: stumbles };
    if (step.type === 'write') disk = step.rendered;
    if (step.type === 'resume') about = {};
    if (step.type === 'start') about = { ...about, ...(about.state === 'hung' ? { state: 'running' } : {}) };
    if (step.type === 'start') for (const id of step.instances) processes.set(id, { pid: ++pid, ...loaded(id) });
    if (step.type === 'reload')
      for (const id of step.instances) processes.set(id, { pid: processes.get(id)?.pid ?? 0, ...loaded(id) });
    if (step.type === 'stop' || (step.type === 'drain' && clients.length === 0))
      for (const id of step.instances) processes.delete(id);
    return { type: 'stepTaken', step: step.type, outcome: { kind: 'done' } };
  };
  const reports: (number | null)[] = [];
  return {
    feed(message: WorkloadMessage, after = 1, most = Number.POSITIVE_INFINITY) {
      const queue = [message];
      let steps = 0;
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        now += after;
        const decided = decide(state, next, now);
        state = decided.state;
        for (const [to, fact] of decided.tell ?? [])
          if (to === 'peers' && fact.type === 'workloadTold') reports.push(fact.report.verified?.generation ?? null);
        for (const effect of decided.effects ?? []) if (steps++ < most) queue.push(answer(effect));
      }
    },
    tick(after = 1_001) {
      this.feed({ type: 'ticked', wall: wall(0) }, after);
    },
    restart: (observeOnly = false) => {
      state = initial;
      decide = decideWith({ ...settings, observeOnly });
    },
    connect: (...who: readonly ConnectedClient[]) => {
      clients = who;
    },
    kill: (id: number) => processes.delete(id),
    open: (id: number, connections: number) => void open.set(id, connections),
    find: (found: Inspection['obstacles']) => {
      obstacles = found;
    },
    put: (program: Inspection['binary']) => {
      binary = program;
    },
    stumble: (outcome: typeof stumbles) => {
      stumbles = outcome;
    },
    show: (facts: Partial<InstanceFact>) => {
      about = facts;
    },
    attest: () => {
      attested = true;
    },
    damage: (ini: string) => {
      if (disk !== null)
        disk = { ...disk, instances: disk.instances.map((one) => (one.id === 1 ? { ...one, ini } : one)) };
    },
    waits: () => state.waits.map(({ id, kind }) => `${id} ${kind}`),
    remarks: () => (state.report?.remarks ?? []).map(({ id, message }) => `${id}: ${message}`),
    refuse: (when: typeof refuses) => {
      refuses = when;
    },
    take: () => taken.splice(0),
    pids: () => [...processes.values()].map((one) => one.pid),
    state: () => state,
    reports,
  };
};

describe('workload', () => {
  it('waits for a fleet spec by name, and the message that brings it starts the instances', () => {
    const here = world();
    here.feed({ type: 'recalled', verified: null, published: null });
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.state().waits).toMatchObject([{ id: 'fleet-spec', on: 'leader' }]);
    here.feed(told(1));
    expect(here.take()).toEqual(['prove', 'write', 'start 1,2', 'verify']);
    expect(here.state().waits).toEqual([]);
    expect(here.reports.at(-1)).toBe(1);
  });

  it('that only observes looks at its instances, tells what they serve, and touches none', () => {
    const here = world();
    here.feed({ type: 'recalled', verified: null, published: null });
    here.feed(told(3));
    const verified = here.state().verified;
    const pids = here.pids();
    here.take();

    here.restart(true);
    here.feed({ type: 'recalled', verified, published: null });
    here.tick();
    expect(here.state().report).toMatchObject({
      verified: { generation: 3 },
      instances: [{ state: 'serving' }, { state: 'serving' }],
    });
    here.feed(told(4));
    here.kill(1);
    here.tick();
    expect(here.state().report).toMatchObject({ verified: { generation: 3 }, instances: [{ state: 'stopped' }, {}] });
    here.kill(2);
    here.tick();
    expect(here.state().report).toMatchObject({ verified: null });
    expect(here.take()).toEqual([]);
    expect(pids).toHaveLength(2);
  });

  it('serves what it verified last before anybody is heard', () => {
    const here = world();
    here.feed({ type: 'recalled', verified: publishedOf({ generation: generation(7) }), published: null });
    here.tick();
    expect(here.take()).toContain('start 1,2');
    expect(here.reports.at(-1)).toBe(7);
  });

  it('adopts instances that serve: a restart verifies and touches nothing', () => {
    const here = world();
    here.feed(told(1));
    here.take();
    const pids = here.pids();
    here.restart();
    here.feed({
      type: 'recalled',
      verified: publishedOf({ spec: specOf({ options: { listen_port: 6432, query_timeout: 1 } }) }),
      published: null,
    });
    here.feed(told(1));
    here.tick();
    expect(here.take()).toEqual(['verify']);
    expect(here.pids()).toEqual(pids);
  });

  describe('that finds the very processes and files that were verified last', () => {
    const first = publishedOf({ spec: specOf({ options: { listen_port: 6432, query_timeout: 1 } }) });
    const restarted = (verified: Published | null) => {
      const here = world();
      here.feed(told(1));
      here.take();
      here.restart();
      here.attest();
      return { here, recall: () => here.feed({ type: 'recalled', verified, published: first }) };
    };

    it('tells that it serves after one look, and asks nobody again', () => {
      const { here, recall } = restarted(first);
      recall();
      here.feed(told(1));
      here.tick();
      expect(here.take()).toEqual([]);
      expect(here.reports.at(-1)).toBe(1);
      expect(here.state()).toMatchObject({ verified: { generation: 1 }, trouble: null, waits: [] });
    });

    it('verifies what it does not remember as verified', () => {
      const others = [null, { ...first, digest: `${first.digest}0` as Published['digest'] }];
      for (const remembered of others) {
        const { here, recall } = restarted(remembered);
        recall();
        here.feed(told(1));
        expect(here.take()).toContain('verify');
      }
    });

    it('verifies where something is in its way', () => {
      const { here, recall } = restarted(first);
      here.find([{ id: 'address', message: '127.0.0.11:6432 is held by process 7' }]);
      recall();
      expect(here.take()).toEqual(['verify']);
    });

    it('puts right what died, hangs or was changed, as always', () => {
      const faults: readonly ((here: ReturnType<typeof world>) => void)[] = [
        (here) => void here.kill(1),
        (here) => here.show({ state: 'hung' }),
        (here) => here.damage('[pgbouncer]\nquery_timeout = 9\n'),
      ];
      for (const fault of faults) {
        const { here, recall } = restarted(first);
        fault(here);
        recall();
        expect(here.take().at(-1)).toBe('verify');
      }
    });

    it('takes a newer generation', () => {
      const { here, recall } = restarted(first);
      recall();
      here.take();
      here.feed(told(2));
      expect(here.take()).toEqual(['prove', 'write', 'reload 1,2', 'verify']);
      expect(here.reports.at(-1)).toBe(2);
    });
  });

  it('does not go back behind what it wrote, when it ended before it could note it down', () => {
    const generations = [7, 8].map((number) =>
      publishedOf({
        generation: generation(number),
        spec: specOf({ options: { listen_port: 6432, query_timeout: number } }),
      }),
    );
    const [seventh = null, eighth = null] = generations;
    const here = world();
    here.feed({ type: 'recalled', verified: seventh, published: eighth });
    expect(here.reports.at(-1)).toBe(7);
    here.feed(told(8));
    expect(here.reports.at(-1)).toBe(8);
    here.take();
    here.restart();
    here.feed({ type: 'recalled', verified: seventh, published: eighth });
    expect(here.take()).toEqual(['verify']);
    expect(here.reports.at(-1)).toBe(8);
  });

  it('reloads for a newer generation and never goes back to an older one', () => {
    const here = world();
    here.feed(told(1));
    here.feed(told(3));
    here.take();
    here.feed(told(2));
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.reports.at(-1)).toBe(3);
  });

  it('starts an instance again that died, and only that one', () => {
    const here = world();
    here.feed(told(1));
    here.take();
    here.kill(2);
    here.feed({ type: 'instanceExited', instance: 2, how: 'was ended by SIGKILL' });
    expect(here.take()).toEqual(['start 2', 'verify']);
  });

  it('refuses a generation that does not prove, keeps the last good one alive, and takes the next that does', () => {
    const here = world();
    here.feed(told(1));
    here.refuse(({ canary }) => canary.startsWith('troupe-2-'));
    here.take();
    here.feed(told(2));
    here.tick();
    here.tick();
    expect(here.take()).toEqual(['prove']);
    expect(here.state().waits).toMatchObject([{ id: 'proof', kind: 'blocked' }]);
    here.kill(1);
    here.feed({ type: 'instanceExited', instance: 1, how: 'was ended by SIGKILL' });
    expect(here.take()).toEqual(['start 1', 'verify']);
    here.feed(told(3));
    expect(here.take()).toEqual(['prove', 'write', 'reload 1,2', 'verify']);
    expect(here.state().waits).toEqual([]);
  });

  it('serves nothing of a generation that gives it no share, and says what it waits for', () => {
    const here = world();
    here.feed(told(1, { spec: specOf({ slots: [{ unit: unit(1), instances: 2 }] }) }));
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.state().waits).toMatchObject([{ id: 'fleet-spec' }]);
  });

  it('refuses a spec that no file can hold, with the reason', () => {
    const here = world();
    const odd = {
      name: 'a b',
      database: 'a',
      backend: 'main',
      host: 'db1',
      port: 5432,
      maxConnections: 10,
      readOnly: false,
    };
    here.feed(told(1, { spec: specOf({ databases: [odd] }) }));
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.state().refused).toMatchObject({ generation: 1, reason: expect.stringContaining('a b') });
  });

  it('waits for a container that comes by itself, and is blocked by what somebody has to mend', () => {
    const here = world();
    here.feed(told(1));
    const reason = 'Pebble does not answer';
    here.feed({ type: 'workloadUnavailable', reason, comesByItself: true });
    expect(here.waits()).toContain('workload waiting');
    here.feed({ type: 'workloadUnavailable', reason: 'no space left on device', comesByItself: false });
    expect(here.waits()).toContain('workload blocked');
  });

  it('says when it will try again what did not work, and nothing of when it only looks', () => {
    const due = dueWith(settings);
    const here = world();
    here.feed(told(1));
    expect(due(here.state())).toBe(Number.POSITIVE_INFINITY);
    here.stumble({ kind: 'failed', reason: 'no answer in time' });
    here.feed(told(2));
    expect(due(here.state())).toBe(here.state().trouble?.retryAt);
    here.stumble(null);
    here.tick(500);
    expect(due(here.state())).toBe(Number.POSITIVE_INFINITY);
    here.feed({ type: 'workloadUnavailable', reason: 'Pebble does not answer', comesByItself: false });
    expect(due(here.state())).toBe(Number.POSITIVE_INFINITY);
  });

  it('says when the next part of its farewell begins', () => {
    const due = dueWith({ ...settings, drainDeadlineMs: 700 });
    const here = world();
    here.feed(told(1));
    here.connect({ instance: 1, user: 'app', database: 'orders', address: '10.0.0.1', port: 4000 });
    here.feed({ type: 'hooked', hook: { type: 'stop' } });
    here.tick();
    expect(due(here.state())).toBe((here.state().leaving?.since ?? 0) + 700);
    expect(dueWith(settings)(here.state())).toBe(here.state().inspectedAt + settings.inspectMs);
    here.feed({ type: 'hooked', hook: { type: 'stopNow' } });
    here.tick();
    expect(due(here.state())).toBe(Number.POSITIVE_INFINITY);
  });

  it('drains and stops when told to, and says when it has', () => {
    const here = world();
    here.feed(told(1));
    here.take();
    here.feed({ type: 'hooked', hook: { type: 'stop' } });
    here.tick();
    expect(here.take()).toEqual(['drain 1,2']);
    expect(here.state().report?.leaving).toMatchObject({ phase: 'stopped', clients: {} });
  });

  describe('while it drains', () => {
    const client = { instance: 1, user: 'app', database: 'orders', address: '10.0.0.1', port: 4000 };
    const draining = (version = '1.24.1') => {
      const here = world(version);
      here.feed(told(1));
      here.connect(client);
      here.take();
      here.feed({ type: 'hooked', hook: { type: 'stop' } });
      return here;
    };

    it('waits for clients, tells who is left, and cuts them at the deadline', () => {
      const here = draining();
      expect(here.take()).toEqual(['drain 1,2']);
      here.tick();
      expect(here.state().report?.leaving).toMatchObject({ phase: 'draining', clients: { 'orders/app': 1 } });
      expect(here.take()).toEqual([]);
      here.tick(4_000);
      here.tick();
      expect(here.take()).toEqual(['stop 1,2']);
      expect(here.state().report?.leaving).toMatchObject({ phase: 'stopped', clients: { 'orders/app': 1 } });
      expect(here.state().leaving?.cut).toEqual([client]);
    });

    it('cuts them at once when it is told a second time', () => {
      const here = draining();
      here.take();
      here.feed({ type: 'hooked', hook: { type: 'stopNow' } });
      here.tick(100);
      expect(here.take()).toEqual(['stop 1,2']);
    });

    it('of a version that cannot drain serves on until nobody is left', () => {
      const here = draining('1.18.0');
      here.tick();
      expect(here.take()).toEqual(['drain 1,2']);
      here.connect();
      here.tick(100);
      expect(here.take()).toEqual(['stop 1,2']);
      expect(here.state().report?.leaving).toMatchObject({ phase: 'stopped', clients: {} });
    });
  });

  it('broken off after any effect and started anew, ends in the same place', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 3 })), { maxLength: 8 }),
        (breaks) => {
          const here = world();
          let newest = 1;
          for (const [steps, next] of breaks) {
            newest = Math.max(newest, next);
            here.feed(told(newest), 1, steps);
            here.restart();
          }
          here.feed({ type: 'recalled', verified: null, published: null });
          here.feed(told(newest));
          here.tick();
          here.tick();
          expect(here.reports.at(-1)).toBe(newest);
          here.take();
          here.tick();
          expect(here.take()).toEqual([]);
        },
      ),
    );
  });

  describe('in trouble', () => {
    const serving = () => {
      const here = world();
      here.feed(told(1));
      here.take();
      return here;
    };
    const killed = { type: 'instanceExited', instance: 2, how: 'was ended by SIGKILL' } as const;

    it.each([
      [{ kind: 'missing', reason: 'there is none' }, 'pgbouncer blocked'],
      [{ kind: 'tooOld', reason: 'it is 1.16' }, 'pgbouncer-version blocked'],
    ] as const)('leaves instances alone without a program that it can use: %o', (program, wait) => {
      const here = serving();
      here.put(program);
      here.kill(2);
      here.tick();
      expect(here.waits()).toContain(wait);
      expect(here.take()).toEqual([]);
      here.put({ kind: 'found', version: { major: 1, minor: 24, patch: 1 } });
      here.tick();
      expect(here.take()).toEqual(['start 2', 'verify']);
      expect(here.waits()).toEqual([]);
    });

    it('tells what was found in its way once, also when a step stumbles over it, and no longer than it is there', () => {
      const here = serving();
      here.find([{ id: 'disk', message: 'only 3 KiB are left' }]);
      here.stumble({ kind: 'failed', reason: 'cannot write: no space', obstacle: 'disk' });
      here.feed(told(2));
      here.tick();
      expect(here.waits()).toEqual(['disk blocked']);
      here.find([]);
      here.stumble(null);
      here.tick();
      here.tick();
      expect(here.waits()).toEqual([]);
      expect(here.reports.at(-1)).toBe(2);
    });

    it('starts nothing where somebody else listens, and does at the next look after that one has gone', () => {
      const here = serving();
      here.find([{ id: 'address', message: 'held by process 7' }]);
      here.kill(2);
      here.feed(killed);
      here.tick();
      expect(here.take()).toEqual([]);
      expect(here.waits()).toEqual(['address blocked', 'instances waiting']);
      here.find([]);
      here.tick();
      expect(here.take()).toEqual(['start 2', 'verify']);
    });

    it('tries what failed again within two seconds, however often it failed', () => {
      const here = serving();
      here.stumble({ kind: 'failed', reason: 'its console does not answer' });
      here.kill(2);
      here.feed(killed);
      for (let i = 0; i < 60; i += 1) here.tick(250);
      expect(here.waits()).toEqual(['instances blocked']);
      here.stumble(null);
      here.take();
      for (let ms = 0; ms < 3_000; ms += 250) here.tick(250);
      expect(here.take()).toEqual(['start 2', 'verify']);
      expect(here.waits()).toEqual([]);
    });

    it('starts an instance that goes on ending with rests in between, says so, and forgets it when that is over', () => {
      const here = serving();
      let starts = 0;
      let news = 0;
      for (let ms = 0; ms < 20_000; ms += 250) {
        const before = here.state().report?.remarks ?? [];
        here.kill(2);
        here.feed(killed);
        here.tick(249);
        news += remarksNew(before, here.state().report?.remarks ?? []).length;
        starts += here.take().filter((step) => step === 'start 2').length;
      }
      expect(starts).toBeGreaterThan(8);
      expect(starts).toBeLessThan(30);
      expect(news).toBe(1);
      expect(here.waits()).toContain('crashes blocked');
      expect(here.remarks()).toEqual([
        expect.stringMatching(/^replaced: instance 2 was ended by SIGKILL, and was started again \(\d+ times\)$/),
      ]);
      for (let ms = 0; ms < 5_000; ms += 250) here.tick(250);
      expect(here.waits()).toEqual([]);
    });

    it('replaces an instance that hangs, and remarks it', () => {
      const here = serving();
      here.show({ state: 'hung' });
      here.tick();
      expect(here.take()).toContain('start 1');
      expect(here.remarks()).toEqual([
        expect.stringMatching(/^replaced: instance 1 \(process \d+\) did not answer, .* and was replaced$/),
      ]);
    });

    it('puts right what somebody changed, remarks it, and counts', () => {
      const here = serving();
      for (const times of ['own$', '\\(2 times\\)$']) {
        here.damage('[pgbouncer]\n');
        here.tick();
        expect(here.take()).toContain('write');
        expect(here.remarks()).toEqual([
          expect.stringMatching(new RegExp(`^repaired: the ini of instance 1 was changed by hand.*${times}`)),
        ]);
      }
      expect(here.waits()).toEqual([]);
      here.tick(3_600_001);
      expect(here.remarks()).toEqual([]);
    });

    it('does not call its own change somebody else’s', () => {
      const here = serving();
      here.feed(told(2));
      expect(here.remarks()).toEqual([]);
    });

    it('lets clients go on that somebody held back', () => {
      const here = serving();
      here.show({ halted: ['orders'] });
      here.tick();
      expect(here.take()).toEqual(['resume 1', 'verify']);
      expect(here.remarks()).toEqual([expect.stringMatching(/^repaired: database orders of instance 1 was halted/)]);
    });

    it('remarks what an instance could lack, what its program does not know, and a program that was replaced', () => {
      const here = world();
      here.put({ kind: 'found', version: { major: 1, minor: 18, patch: 0 } });
      here.show({ descriptors: 1_024 });
      here.feed(
        told(1, {
          spec: specOf({
            options: { listen_port: 6432, max_client_conn: 5_000, max_prepared_statements: 7 },
            users: [userOf('u', 'x', { timeouts: { queryTimeout: 5 } })],
          }),
        }),
      );
      here.tick();
      expect(here.remarks()).toEqual([
        expect.stringMatching(/^unheeded-option: max_prepared_statements is not heeded/),
        expect.stringMatching(/^unheeded-setting: query-timeout of login u is not heeded: it needs PgBouncer 1.24/),
        expect.stringMatching(/^other-program: instance 1 runs PgBouncer 1.24.1, and the program on disk is 1.18.0/),
        expect.stringMatching(/^other-program: instance 2/),
        expect.stringMatching(/^few-descriptors: instance 1 may have 1024 files .* could need 5\d\d\d/),
      ]);
    });
  });
});

describe('the budget of a unit', () => {
  const orders = { name: 'orders', database: 'orders', backend: 'main', host: 'db', port: 5432, readOnly: false };
  const sharing = (number: number, maxConnections: number, changes: Partial<FleetSpec> = {}): WorkloadMessage =>
    told(number, {
      spec: specOf({
        options: { listen_port: 6432 },
        databases: [{ ...orders, maxConnections }],
        slots: [0, 1].map((one) => ({ unit: unit(one), instances: 2 })),
        ...changes,
      }),
    });
  const budgetOf = (here: ReturnType<typeof world>) => here.state().report?.budget;

  it('is told with what is in use, and with what may still be', () => {
    const here = world();
    here.feed(sharing(1, 40));
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 20, used: 0, held: 20 }]);
    here.open(1, 4);
    here.open(2, 10);
    here.tick();
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 20, used: 14, held: 20 }]);
    here.kill(1);
    here.open(1, 0);
    here.feed({ type: 'instanceExited', instance: 1, how: 'was ended by SIGKILL' }, 1, 1);
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 20, used: 10, held: 20 }]);
  });

  it('that shrank has the pools above their limit come back to it, told to once, and looks again soon', () => {
    const here = world();
    here.feed(sharing(1, 40));
    here.open(1, 3);
    here.open(2, 10);
    here.tick();
    here.take();
    here.feed(sharing(2, 20));
    expect(here.take()).toEqual(['prove', 'write', 'reload 1,2', 'verify', 'reconnect 2']);
    // Instance 1 may use all of its own, whatever the other one still has.
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 10, used: 13, held: 15 }]);
    here.tick(250);
    expect(here.take()).toEqual([]);
    here.open(2, 5);
    here.tick(250);
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 10, used: 8, held: 10 }]);
    here.open(2, 6);
    here.tick();
    expect(here.take()).toEqual(['reconnect 2']);
  });

  it('is never told as smaller than what an earlier generation let it open before the console was asked again', () => {
    const here = world();
    here.feed(sharing(1, 40));
    here.feed(sharing(2, 20), 1, 3);
    expect(here.state().report).toMatchObject({ verified: { generation: 1 } });
    expect(budgetOf(here)).toMatchObject([{ held: 20 }]);
    here.feed({ type: 'stepTaken', step: 'verify', outcome: { kind: 'done' } }, 1, 0);
    expect(here.state().report).toMatchObject({ verified: { generation: 2 } });
    expect(budgetOf(here)).toMatchObject([{ given: 10, held: 20 }]);
  });

  it('of which it has nothing yet is a wait, and one that has no room for it says which budget would have', () => {
    const here = world();
    here.feed(
      sharing(1, 40, { holdings: [{ of: 'database', name: 'orders', unit: unit(0), granted: 0, reserved: null }] }),
    );
    expect(here.state().waits).toMatchObject([{ id: 'budget-share', kind: 'waiting', on: 'leader' }]);
    expect(budgetOf(here)).toEqual([{ of: 'database', name: 'orders', given: 0, used: 0, held: 0 }]);
    here.feed(sharing(2, 40));
    expect(here.state().waits).toEqual([]);

    const outside = world();
    outside.feed(sharing(1, 4, { slots: [1, 2].map((one) => ({ unit: unit(one), instances: 2 })) }));
    expect(outside.take()).toEqual([]);
    expect(outside.state().waits).toMatchObject([
      { id: 'budget-share', kind: 'blocked', message: expect.stringContaining('make it 6 or more') },
    ]);
  });
});
