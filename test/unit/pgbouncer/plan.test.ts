import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatabaseSpec, UserSpec } from '../../../src/actors/model/fleet-spec.ts';
import type { Options } from '../../../src/actors/model/intent.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type {
  InstanceFact,
  Inspection,
  Layout,
  PgBouncerVersion,
  Rendered,
  Step,
} from '../../../src/actors/model/workload.ts';
import { completeOptions } from '../../../src/pgbouncer/catalogue.ts';
import { settingsIn } from '../../../src/pgbouncer/ini.ts';
import { planChange, takesRestart } from '../../../src/pgbouncer/plan.ts';
import { render } from '../../../src/pgbouncer/render.ts';
import { canaryOfLast } from '../../../src/pgbouncer/show.ts';
import { type Release, versionOf } from '../../../src/pgbouncer/version.ts';
import { tlsFilesIn } from '../../../src/pgbouncer/tls.ts';
import { specOf, unit, userOf } from '../../support/builders.ts';

interface Wish {
  readonly canary: string;
  readonly options?: Options;
  readonly host?: string;
  readonly user?: string;
  readonly poolMode?: UserSpec['poolMode'];
  readonly address?: string;
  readonly version?: Release;
  readonly certificate?: string;
}

const layoutFor = ({ address = '127.0.0.11', certificate }: Wish): Layout => ({
  listenAddress: address,
  tls:
    certificate === undefined
      ? null
      : tlsFilesIn('/state/tls', { key: new Secret('key'), certificate, authorities: 'authority' }),
  authFile: '/state/userlist.txt',
  retiring: [],
  probe: { username: 'troupe_probe', verifier: new Secret('SCRAM-SHA-256$probe') },
  instances: [1, 2, 3].map((id) => ({ id, ini: `/state/${id}/pgbouncer.ini`, socketDir: `/run/${id}` })),
});

const wantedFor = (wish: Wish): Rendered => {
  const { canary, options, host = '10.0.0.1', user = 'orders', poolMode = null, version = '1.24.1' } = wish;
  const orders: DatabaseSpec = {
    name: 'orders',
    database: 'orders',
    backend: 'main',
    host,
    port: 5432,
    maxConnections: 30,
    readOnly: false,
  };
  const spec = specOf({
    options: completeOptions({ pool_mode: 'transaction', ...options }),
    databases: [orders],
    users: [userOf(user, 'SCRAM-SHA-256$x', { poolMode })],
    slots: [{ unit: unit(0), instances: 3 }],
  });
  return render(spec, unit(0), layoutFor(wish), versionOf(version), canary);
};

interface Process {
  readonly started: ReadonlyMap<string, string>;
  loaded: ReadonlyMap<string, string>;
  readonly version: PgBouncerVersion;
  readonly pid: number;
  ini: string;
  authFile: string;
  hung: boolean;
  paused: boolean;
}

/** A unit as its steps change it: disk, processes, and what was done. */
class World {
  authFile: string | null = null;
  tls: string | null = null;
  readonly inis = new Map<number, string>();
  readonly processes = new Map<number, Process>();
  binary: PgBouncerVersion = versionOf('1.24.1');
  layout: Layout = layoutFor({ canary: '' });
  readonly done: string[] = [];
  fewestRunning = Number.POSITIVE_INFINITY;
  /** What a process has in force is not told, as by a workload that cannot. */
  mute = false;
  #pids = 0;

  inspect(): Inspection {
    return {
      binary: { kind: 'found', version: this.binary },
      layout: this.layout,
      disk: {
        authFile: this.authFile === null ? null : new Secret(this.authFile),
        tls: this.tls === (this.layout.tls?.directory ?? null),
        instances: this.layout.instances.map(({ id }) => ({ id, ini: this.inis.get(id) ?? null })),
      },
      instances: this.layout.instances.map(({ id }) => this.#factOf(id)),
      obstacles: [],
    };
  }

  /** Null when it works. */
  take(step: Step): string | null {
    this.done.push('instances' in step ? `${step.type} ${step.instances.join()}` : step.type);
    if (step.type === 'write') {
      this.authFile = step.rendered.authFile.reveal();
      this.tls = step.rendered.tls?.directory ?? null;
      for (const { id, ini } of step.rendered.instances) this.inis.set(id, ini);
    }
    const reasons = 'instances' in step ? step.instances.flatMap((id) => this.#takeOne(step.type, id) ?? []) : [];
    this.fewestRunning = Math.min(this.fewestRunning, this.processes.size);
    return reasons[0] ?? null;
  }

  /** Takes the steps of plans, `atMost` of each, until there is nothing to do. */
  settle(wanted: Rendered, atMost = Number.POSITIVE_INFINITY): number {
    for (let plans = 0; plans < 100; plans += 1) {
      const steps = planChange(this.inspect(), wanted);
      if (steps.length === 0) return plans;
      for (const step of steps.slice(0, atMost)) if (this.take(step) !== null) break;
    }
    throw new Error(`does not settle: ${this.done.slice(-20).join(' · ')}`);
  }

  #takeOne(type: Step['type'], id: number): string | null {
    const process = this.processes.get(id);
    if (type === 'stop') return this.processes.delete(id) ? null : null;
    if (type === 'start') {
      if (process !== undefined) return 'it runs';
      const ini = this.inis.get(id) ?? '';
      this.#pids += 1;
      const pid = this.#pids;
      const authFile = this.authFile ?? '';
      this.processes.set(id, {
        started: settingsIn(ini),
        loaded: settingsIn(ini),
        version: this.binary,
        pid,
        ini,
        authFile,
        hung: false,
        paused: false,
      });
      return null;
    }
    if (process === undefined || process.hung) return `${type}: no answer`;
    if (type === 'pause' || type === 'resume') process.paused = type === 'pause';
    if (type === 'reload') load(process, this.inis.get(id) ?? '', this.authFile ?? '');
    return null;
  }

  #factOf(id: number): InstanceFact {
    const process = this.processes.get(id);
    if (process === undefined) return { id, state: 'absent', pid: null, version: null, canary: null, paused: false };
    const { version, pid, hung, paused } = process;
    if (hung) return { id, state: 'hung', pid, version, canary: null, paused: false };
    const settings = inForce(process);
    const fact: InstanceFact = {
      id,
      state: 'running',
      pid,
      version,
      canary: canaryOfLast(settings['syslog_ident'] ?? ''),
      paused,
    };
    return this.mute ? fact : { ...fact, settings };
  }
}

const load = (process: Process, ini: string, authFile: string): void => {
  Object.assign(process, { ini, loaded: settingsIn(ini), authFile });
};

const inForce = ({ started, loaded }: Process): Readonly<Record<string, string>> =>
  Object.fromEntries([...loaded].map(([key, value]) => [key, takesRestart(key) ? (started.get(key) ?? '') : value]));

const serving = (wish: Wish): World => {
  const world = new World();
  reach(world, wish);
  world.settle(wantedFor(wish));
  world.done.length = 0;
  world.fewestRunning = Number.POSITIVE_INFINITY;
  return world;
};
const reach = (world: World, wish: Wish): void => {
  world.binary = versionOf(wish.version ?? '1.24.1');
  world.layout = layoutFor(wish);
};
const planned = (world: World, wish: Wish): readonly string[] => {
  reach(world, wish);
  world.settle(wantedFor(wish));
  return world.done;
};
const first: Wish = { canary: 'g1' };

const expectServed = (world: World, wanted: Rendered): void => {
  for (const { id, ini } of wanted.instances) {
    const process = world.processes.get(id);
    expect(process).toMatchObject({ ini, authFile: wanted.authFile.reveal(), hung: false, paused: false });
    expect(process === undefined ? {} : inForce(process)).toEqual(Object.fromEntries(settingsIn(ini)));
  }
};

describe('the plan of a change', () => {
  it('of nothing is nothing', () => {
    expect(planned(serving(first), first)).toEqual([]);
  });

  it('starts a unit that never ran', () => {
    expect(planned(new World(), first)).toEqual(['prove', 'write', 'start 1,2,3', 'verify']);
  });

  it.each<readonly [string, Wish, readonly string[]]>([
    ['an option reloads', { canary: 'g2', options: { query_timeout: 5 } }, ['reload 1,2,3']],
    ['a mere generation reloads', { canary: 'g2' }, ['reload 1,2,3']],
    ['a login reloads', { canary: 'g2', user: 'other' }, ['reload 1,2,3']],
    ['a login of the same generation reloads', { canary: 'g1', user: 'other' }, ['reload 1,2,3']],
    ['a certificate reloads', { canary: 'g1', certificate: 'first' }, ['reload 1,2,3']],
    ['another server pauses', { canary: 'g2', host: '10.0.0.2' }, ['pause 1,2,3', 'reload 1,2,3', 'resume 1,2,3']],
    [
      'another server and session mode pause first',
      { canary: 'g2', host: '10.0.0.2', options: { pool_mode: 'session' } },
      ['pause 1,2,3', 'reload 1,2,3', 'resume 1,2,3'],
    ],
    [
      'a port restarts one by one',
      { canary: 'g2', options: { listen_port: 6433 } },
      ['stop 1', 'start 1', 'stop 2', 'start 2', 'stop 3', 'start 3'],
    ],
    [
      'an address of the same generation restarts one by one',
      { canary: 'g1', address: '127.0.0.12' },
      ['stop 1', 'start 1', 'stop 2', 'start 2', 'stop 3', 'start 3'],
    ],
    [
      'an option that is read at the start restarts one by one',
      { canary: 'g2', options: { pkt_buf: 8192 } },
      ['stop 1', 'start 1', 'stop 2', 'start 2', 'stop 3', 'start 3'],
    ],
    [
      'a program that needs other files restarts one by one',
      { canary: 'g1', version: '1.26.1' },
      ['stop 1', 'start 1', 'stop 2', 'start 2', 'stop 3', 'start 3'],
    ],
  ])('%s', (_, wish, steps) => {
    const world = serving(first);
    expect(planned(world, wish)).toEqual(['prove', 'write', ...steps, 'verify']);
    expect(world.fewestRunning).toBeGreaterThanOrEqual(2);
    expectServed(world, wantedFor(wish));
  });

  it('reloads another certificate, and one that is taken away', () => {
    const world = serving({ ...first, certificate: 'first' });
    expect(planned(world, { ...first, certificate: 'second' })).toEqual(['prove', 'write', 'reload 1,2,3', 'verify']);
    world.done.length = 0;
    expect(planned(world, first)).toEqual(['prove', 'write', 'reload 1,2,3', 'verify']);
    expectServed(world, wantedFor(first));
  });

  it('writes the files of a certificate again that somebody removed, and leaves the processes alone', () => {
    const world = serving({ ...first, certificate: 'first' });
    world.tls = null;
    expect(planned(world, { ...first, certificate: 'first' })).toEqual(['prove', 'write', 'verify']);
  });

  it('restarts one by one what lost the socket of its console, which no reload makes again', () => {
    const world = serving(first);
    const inspection = world.inspect();
    const homeless = { ...inspection, instances: inspection.instances.map((fact) => ({ ...fact, unlinked: true })) };
    expect(planChange(homeless, wantedFor(first)).map(({ type }) => type)).toEqual([
      ...['stop', 'start', 'stop', 'start', 'stop', 'start'],
      'verify',
    ]);
  });

  it('does not touch processes for a program that would be told the same', () => {
    const world = serving({ canary: 'g1', version: '1.25.0' });
    expect(planned(world, { canary: 'g1', version: '1.25.2' })).toEqual([]);
    // But its processes were not asked whether they take the next files: those of 1.25.2 were.
    expect(planned(world, { canary: 'g2', version: '1.25.2' })).toContain('stop 2');
  });

  it('does not wait for one client of session mode among others', () => {
    const world = serving({ canary: 'g1', poolMode: 'session' });
    expect(
      planned(world, { canary: 'g2', host: '10.0.0.2', poolMode: 'session' }).filter((step) => /pause/.test(step)),
    ).toEqual([]);
    const others = serving({ canary: 'g1', poolMode: 'statement' });
    expect(planned(others, { canary: 'g2', host: '10.0.0.2', poolMode: 'statement' }).join()).toMatch(/pause/);
  });

  it('does not wait for clients of session mode, who hold their servers', () => {
    const session = { pool_mode: 'session' };
    const world = serving({ canary: 'g1', options: session });
    expect(planned(world, { canary: 'g2', host: '10.0.0.2', options: session })).toEqual([
      'prove',
      'write',
      'reload 1,2,3',
      'verify',
    ]);
  });

  it('does not wait for a server that was given up dead, and for another one it does', () => {
    const world = serving(first);
    const wanted = wantedFor({ canary: 'g2', host: '10.0.0.2' });
    const typesWith = (dead: string) =>
      planChange(world.inspect(), wanted, [{ host: dead, port: 5432 }]).map(({ type }) => type);
    expect(typesWith('10.0.0.1')).toEqual(['prove', 'write', 'reload', 'verify']);
    expect(typesWith('10.0.0.9')).toEqual(['prove', 'write', 'pause', 'reload', 'resume', 'verify']);
  });

  it('gives up on a pause that cannot be had, and goes to the new server all the same', () => {
    const world = serving(first);
    const wanted = wantedFor({ canary: 'g2', host: '10.0.0.2' });
    for (const step of planChange(world.inspect(), wanted)) {
      if (step.type === 'pause') break; // It fails, and whoever took it has resumed.
      world.take(step);
    }
    world.done.length = 0;
    world.settle(wanted);
    expect(world.done).toEqual(['reload 1,2,3', 'verify']);
  });

  it('does not pause by the word of a file that nobody has loaded', () => {
    for (const mute of [false, true]) {
      const world = serving({ canary: 'g1', options: { pool_mode: 'session' } });
      world.mute = mute;
      world.take({ type: 'write', rendered: wantedFor({ canary: 'g2', host: '10.0.0.2' }) });
      world.done.length = 0;
      expect(planned(world, { canary: 'g3', host: '10.0.0.3' })).toEqual(['prove', 'write', 'reload 1,2,3', 'verify']);
    }
  });

  it('resumes what somebody left paused', () => {
    const world = serving(first);
    Object.assign(world.processes.get(2) ?? {}, { paused: true });
    expect(planned(world, first)).toEqual(['resume 2', 'verify']);
  });

  it('starts what is dead and replaces what is deaf before all else, and leaves the others alone', () => {
    const world = serving(first);
    const pid = world.processes.get(1)?.pid;
    world.processes.delete(3);
    Object.assign(world.processes.get(2) ?? {}, { hung: true });
    expect(planned(world, first)).toEqual(['stop 2', 'start 2,3', 'verify']);
    expect(world.processes.get(1)?.pid).toBe(pid);
  });

  it('puts back what somebody changed on disk or in a process', () => {
    const world = serving(first);
    world.inis.set(1, (world.inis.get(1) ?? '').replace('verbose = 0', 'verbose = 2'));
    expect(planned(world, first)).toEqual(['prove', 'write', 'reload 1', 'verify']);
    world.done.length = 0;
    world.authFile = null;
    expect(planned(world, first)).toEqual(['prove', 'write', 'reload 1,2,3', 'verify']);
    world.done.length = 0;
    const process = world.processes.get(3);
    if (process !== undefined) load(process, process.ini.replace('verbose = 0', 'verbose = 2'), process.authFile);
    expect(planned(world, first)).toEqual(['reload 3', 'verify']);
  });

  it('does what it can with garbage on disk', () => {
    const world = serving(first);
    world.inis.set(2, '[pgbouncer]\n???\n');
    expect(planned(world, { canary: 'g2', host: '10.0.0.2' })).toEqual([
      'prove',
      'write',
      'pause 1,3',
      'reload 1,2,3',
      'resume 1,3',
      'verify',
    ]);
  });

  it('takes the file on disk for what a process has in force, where it does not say', () => {
    const world = serving(first);
    world.mute = true;
    expect(planned(world, first)).toEqual([]);
    expect(planned(world, { canary: 'g2', options: { query_timeout: 5 } })).toEqual([
      'prove',
      'write',
      'reload 1,2,3',
      'verify',
    ]);
    world.done.length = 0;
    expect(planned(world, { canary: 'g3', options: { listen_port: 6433 } })).toContain('stop 1');
    expectServed(world, wantedFor({ canary: 'g3', options: { listen_port: 6433 } }));
  });
});

const wishes: fc.Arbitrary<Wish> = fc.record({
  canary: fc.constantFrom('g1', 'g2', 'g3'),
  host: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  user: fc.constantFrom('orders', 'other'),
  address: fc.constantFrom('127.0.0.11', '127.0.0.12'),
  version: fc.constantFrom<Release>('1.18.0', '1.24.1', '1.26.1'),
  options: fc.record({
    pool_mode: fc.constantFrom('session', 'transaction'),
    query_timeout: fc.constantFrom(0, 5),
    listen_port: fc.constantFrom(6432, 6433),
  }),
});
const mishaps = fc.array(
  fc.record({
    id: fc.integer({ min: 1, max: 3 }),
    what: fc.constantFrom('dies', 'hangs', 'is paused', 'loses its file', 'is reloaded'),
  }),
  { maxLength: 4 },
);
const happen = (world: World, { id, what }: { readonly id: number; readonly what: string }): void => {
  const process = world.processes.get(id);
  if (what === 'loses its file') world.inis.delete(id);
  else if (what === 'dies') world.processes.delete(id);
  else if (process !== undefined && what === 'hangs') process.hung = true;
  else if (process !== undefined && what === 'is paused') process.paused = true;
  else if (process !== undefined) load(process, world.inis.get(id) ?? process.ini, world.authFile ?? process.authFile);
};

describe('plans, whatever was there before', () => {
  const histories = fc.tuple(wishes, wishes, mishaps, fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }));

  it('end in the same place when they are broken off after any steps', () => {
    fc.assert(
      fc.property(histories, ([before, after, mishap, breaks]) => {
        const world = serving(before);
        for (const one of mishap) happen(world, one);
        reach(world, after);
        const wanted = wantedFor(after);
        for (const steps of breaks)
          for (const step of planChange(world.inspect(), wanted).slice(0, steps)) if (world.take(step) !== null) break;
        world.settle(wanted, 2);
        expectServed(world, wanted);
        expect(planChange(world.inspect(), wanted)).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('are done in one go, end with a proof, and pause nobody for longer', () => {
    fc.assert(
      fc.property(histories, ([before, after, mishap]) => {
        const world = serving(before);
        for (const one of mishap) happen(world, one);
        reach(world, after);
        const wanted = wantedFor(after);
        const steps = planChange(world.inspect(), wanted);
        for (const step of steps) expect(world.take(step)).toBeNull();
        expect(planChange(world.inspect(), wanted)).toEqual([]);
        expectServed(world, wanted);
        if (steps.length > 0) expect(steps.at(-1)?.type).toBe('verify');
      }),
      { numRuns: 150 },
    );
  });

  it('stop nothing that could have stayed', () => {
    fc.assert(
      fc.property(histories, ([before, after, mishap]) => {
        const world = serving(before);
        for (const one of mishap) happen(world, one);
        const deaf = new Set([...world.processes].filter(([, { hung }]) => hung).map(([id]) => id));
        reach(world, after);
        const steps = planChange(world.inspect(), wantedFor(after));
        const stopped = steps.flatMap((step) => (step.type === 'stop' ? step.instances : []));
        const mustGo =
          (before.version ?? '') !== (after.version ?? '') ||
          before.address !== after.address ||
          before.options?.['listen_port'] !== after.options?.['listen_port'];
        expect(stopped.filter((id) => !deaf.has(id) && !mustGo)).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});
