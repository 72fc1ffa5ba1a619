import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWith } from '../../../src/actors/workload/decide.ts';
import { initial, type WorkloadEffect, type WorkloadState } from '../../../src/actors/workload/state.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { Published } from '../../../src/actors/model/fleet-spec.ts';
import type { Inspection, InstanceFact, Layout, Rendered } from '../../../src/actors/model/workload.ts';
import type { WorkloadMessage } from '../../../src/actors/protocol.ts';
import { generation, publishedOf, specOf, unit, wall } from '../../support/builders.ts';

const settings = { self: unit(0), advertise: null, inspectMs: 1_000, drainDelayMs: 0, drainDeadlineMs: 5_000 };
const decide = decideWith(settings);
const layout: Layout = {
  listenAddress: '127.0.0.11',
  authFile: '/state/userlist.txt',
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
const world = () => {
  let disk: Rendered | null = null;
  const processes = new Map<number, { pid: number; canary: string | null }>();
  let pid = 100;
  let refuses: (rendered: Rendered) => boolean = () => false;
  let state: WorkloadState = initial;
  let now = 0;
  const taken: string[] = [];
  const inspection = (): Inspection => ({
    binary: { kind: 'found', version: { major: 1, minor: 24, patch: 1 } },
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
        version: running === undefined ? null : { major: 1, minor: 24, patch: 1 },
        canary: running?.canary ?? null,
        paused: false,
      };
    }),
  });
  const answer = (effect: WorkloadEffect): WorkloadMessage => {
    if (effect.type === 'inspect') return { type: 'inspected', inspection: inspection() };
    const { step } = effect;
    taken.push('instances' in step ? `${step.type} ${step.instances.join()}` : step.type);
    if (step.type === 'prove' && refuses(step.rendered))
      return { type: 'stepTaken', step: 'prove', outcome: { kind: 'refused', reason: 'invalid value' } };
    if (step.type === 'write') disk = step.rendered;
    if (step.type === 'start')
      for (const id of step.instances) processes.set(id, { pid: ++pid, canary: disk?.canary ?? null });
    if (step.type === 'reload')
      for (const id of step.instances)
        processes.set(id, { pid: processes.get(id)?.pid ?? 0, canary: disk?.canary ?? null });
    if (step.type === 'stop' || step.type === 'drain') for (const id of step.instances) processes.delete(id);
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
    restart: () => {
      state = initial;
    },
    kill: (id: number) => processes.delete(id),
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
    here.feed({ type: 'recalled', verified: null });
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.state().waits).toMatchObject([{ id: 'fleet-spec', on: 'leader' }]);
    here.feed(told(1));
    expect(here.take()).toEqual(['prove', 'write', 'start 1,2', 'verify']);
    expect(here.state().waits).toEqual([]);
    expect(here.reports.at(-1)).toBe(1);
  });

  it('serves what it verified last before anybody is heard', () => {
    const here = world();
    here.feed({ type: 'recalled', verified: publishedOf({ generation: generation(7) }) });
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
    });
    here.feed(told(1));
    here.tick();
    expect(here.take()).toEqual(['verify']);
    expect(here.pids()).toEqual(pids);
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
    here.feed({ type: 'instanceExited', instance: 2 });
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
    here.feed({ type: 'instanceExited', instance: 1 });
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
    const odd = { name: 'a b', database: 'a', backend: 'main', host: 'db1', port: 5432, maxConnections: 10 };
    here.feed(told(1, { spec: specOf({ databases: [odd] }) }));
    here.tick();
    expect(here.take()).toEqual([]);
    expect(here.state().refused).toMatchObject({ generation: 1, reason: expect.stringContaining('a b') });
  });

  it('drains and stops when told to, and says when it has', () => {
    const here = world();
    here.feed(told(1));
    here.take();
    here.feed({ type: 'hooked', hook: { type: 'stop' } });
    here.tick();
    expect(here.take()).toEqual(['drain 1,2']);
    expect(here.state().report?.stopped).toBe(true);
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
          here.feed({ type: 'recalled', verified: null });
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
});
