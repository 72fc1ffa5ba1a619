import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import { type Charm, charmIn, ImpossibleInJuju, type Script, scriptedCharm } from '../support/juju/charm.ts';
import { toolTimeOf } from '../support/juju/tool-time.ts';
import { HookFailed, type RanHook } from '../support/juju/hook-record.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import type { Notice } from '../support/juju/things.ts';

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'troupe-charms-'));
});
afterAll(async () => {
  await rm(home, { recursive: true });
});

const peers = { cluster: { interface: 'peers' } };
const provides = { database: { interface: 'postgresql_client' } };
const requires = { database: { interface: 'postgresql_client' } };
const config = `options:
  listen_port: { type: int, default: 6432 }
  pool_mode: { type: string, default: session }
  vip: { type: string }
`;
const actions = `greet:
  params:
    name: { type: string, default: you }
`;

const assuming = { name: 'new', assumes: ['k8s-api', 'juju >= 3.1'] };
const notice = (kind: Notice['kind']): Notice => ({ container: 'web', kind, environment: {} });

let count = 0;
/** A charm whose dispatch is this shell script. */
const shellCharm = async (dispatch: string, metadata: object = {}): Promise<Charm> => {
  count += 1;
  const directory = join(home, `charm-${count}`);
  await mkdir(directory);
  await writeFile(join(directory, 'metadata.yaml'), JSON.stringify({ name: 'shell', peers, provides, ...metadata }));
  await writeFile(join(directory, 'config.yaml'), config);
  await writeFile(join(directory, 'actions.yaml'), actions);
  await writeFile(join(directory, 'dispatch'), `#!/bin/sh\n${dispatch}\n`);
  await chmod(join(directory, 'dispatch'), 0o755);
  return charmIn(directory);
};
const application = (script?: Script): Charm => scriptedCharm({ name: 'app', requires }, script);
const hooksOf = (ran: readonly RanHook[], unit: string): readonly string[] =>
  ran.filter((each) => each.unit === unit).map(({ hook }) => hook);

describe('a dispatch', () => {
  it('runs in the directory of the charm with what Juju sets and nothing else', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('[ "$JUJU_HOOK_NAME" = install ] && { pwd; env; id -u; }; exit 0'));
    const [install] = await juju.settle();
    const lines = install?.stdout.split('\n') ?? [];
    expect(lines[0]).toBe(juju.unit('shell/0').charmDirectory);
    const names = lines.slice(1).flatMap((line) => (line.includes('=') ? [line.slice(0, line.indexOf('='))] : []));
    expect(names).toEqual(expect.arrayContaining(['JUJU_CONTEXT_ID', 'JUJU_HOOK_NAME', 'JUJU_AGENT_SOCKET_ADDRESS']));
    expect(names.filter((name) => ['HOME', 'USER', 'NODE_ENV', 'VITEST'].includes(name))).toEqual([]);
    expect(lines).toContain('JUJU_DISPATCH_PATH=hooks/install');
    expect(lines).toContain('JUJU_UNIT_NAME=shell/0');
  });

  it('stores what it staged when it ends well, and only what was said at once when it does not', async () => {
    await using juju = await JujuModel.open();
    const charm = await shellCharm(`
      case $JUJU_HOOK_NAME in cluster-relation-created) ;; *) exit 0;; esac
      relation-set -r "$JUJU_RELATION_ID" seen=yes
      echo '{"shared": "by all"}' | relation-set -r "$JUJU_RELATION_ID" --app --file -
      state-set attempts=$(( $(state-get attempts || echo 0) + 1 ))
      open-port 6432/tcp
      secret-add --label own password=p >/dev/null
      status-set active -- 'said at once'
      relation-get -r "$JUJU_RELATION_ID" - "$JUJU_UNIT_NAME" >&2
      [ -e "$PWD/second" ] || { : >"$PWD/second"; exit 1; }`);
    juju.deploy('shell', charm);
    const [peer = 0] = juju.relationsOf('shell', 'cluster');
    let created: RanHook | null = null;
    while (created?.hook !== 'cluster-relation-created') created = await juju.step();
    expect(created).toMatchObject({ succeeded: false, code: 1 });
    expect(created.stderr).toContain('seen: yes');
    expect(juju.bag(peer, 'shell/0')).not.toHaveProperty('seen');
    expect(juju.bag(peer, 'shell')).toEqual({});
    expect(juju.unit('shell/0').state).toEqual({});
    expect([...juju.unit('shell/0').ports]).toEqual([]);
    expect(juju.secrets.size).toBe(0);
    expect(juju.statusOf('shell/0')).toEqual({ word: 'active', message: 'said at once' });

    const ran = await juju.settle();
    expect(hooksOf(ran, 'shell/0')).toContain('cluster-relation-created');
    expect(juju.bag(peer, 'shell/0')).toMatchObject({ seen: 'yes' });
    expect(juju.bag(peer, 'shell')).toEqual({ shared: 'by all' });
    expect(juju.unit('shell/0').state).toEqual({ attempts: '1' });
    expect([...juju.unit('shell/0').ports]).toEqual(['6432/tcp']);
    expect([...juju.secrets.values()].map(({ label }) => label)).toEqual(['own']);
  });

  it('keeps files beside the charm until the pod is made anew', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('[ -e mark ] || { : >mark; state-set marks="$(state-get marks)x"; }'));
    await juju.settle();
    expect(juju.unit('shell/0').state).toEqual({ marks: 'x' });
    await juju.churnPod('shell/0');
    const ran = await juju.settle();
    expect(hooksOf(ran, 'shell/0')).toEqual(['stop', 'upgrade-charm', 'config-changed', 'start']);
    expect(juju.unit('shell/0').state).toEqual({ marks: 'xx' });
  });

  it('that is killed is run again', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('state-set $JUJU_HOOK_NAME=yes'));
    let kills = 0;
    juju.faultAt = ({ hook }) => (hook === 'start' && kills++ < 2 ? (kills === 1 ? 'killBefore' : 'killAfter') : null);
    const ran = await juju.settle();
    expect(ran.filter(({ hook }) => hook === 'start').map(({ code }) => code)).toEqual([null, null, 0]);
    expect(juju.unit('shell/0').state).toHaveProperty('start', 'yes');
  });

  it('that fails for ever is told with its words', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('echo "no such luck" >&2; exit 3'));
    await expect(juju.settle({ attempts: 2 })).rejects.toThrow(HookFailed);
    await expect(juju.settle({ attempts: 4 })).rejects.toThrow('no such luck');
  });

  it('is not stored when leadership moved under it', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''), { units: 2 });
    await juju.settle();
    const [peer = 0] = juju.relationsOf('shell', 'cluster');
    const [first, second = ''] = [
      juju.leaderOf('shell'),
      juju.unitsOf('shell').find((unit) => unit !== juju.leaderOf('shell')),
    ];
    const ran = await juju.exec(first ?? '', async ({ tools }) => {
      expect(await tools.isLeader()).toBe(true);
      await tools.writeBag({ endpoint: 'cluster', id: peer }, 'application', { by: 'the old leader' });
      juju.moveLeadership('shell', second);
      expect(await tools.isLeader()).toBe(false);
      juju.moveLeadership('shell', first);
      expect(await tools.isLeader()).toBe(false); // Once false in a hook, it stays false.
      juju.moveLeadership('shell', second);
    });
    expect(ran).toMatchObject({ code: 0, succeeded: false });
    expect(ran.stderr).toContain('is not leader');
    expect(juju.bag(peer, 'shell')).toEqual({});
  });

  it('can have any call of a hook tool fail, before or after its effect', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('status-set active -- "$JUJU_HOOK_NAME"; juju-log done'));
    await juju.settle();
    for (const [fault, message] of [
      ['before', 'start'],
      ['after', 'update-status'],
    ] as const) {
      juju.faultAt = ({ tool }) => (tool === 'status-set' ? fault : null);
      juju.updateStatus('shell/0');
      const [ran] = await juju.settle();
      expect(ran?.stderr).toContain('ERROR connection is shut down');
      expect(ran?.calls.map(({ tool, index }) => `${index} ${tool}`)).toEqual(['0 status-set', '1 juju-log']);
      expect(juju.statusOf('shell/0')?.message).toBe(message);
    }
  });
});

describe('the time of hook tools', () => {
  it('is known of each call, and counted once where they overlap', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('is-leader >/dev/null; config-get >/dev/null & is-leader >/dev/null; wait'));
    const [install] = await juju.settle();
    const startMs = await juju.toolStartMs();
    expect(startMs).toBeGreaterThan(0);
    const spent = toolTimeOf(install?.calls ?? [], startMs);
    expect(spent).toBeGreaterThan(0);
    expect(spent).toBeLessThan(install?.tookMs ?? 0);
    const apart = { askedAtMs: 10, tookMs: 2 };
    expect(toolTimeOf([apart], 5)).toBe(7);
    expect(toolTimeOf([apart, { askedAtMs: 11, tookMs: 3 }, { askedAtMs: 30, tookMs: 1 }], 5)).toBe(9 + 6);
  });
});

describe('a unit', () => {
  it('whose charm says nothing is unknown once it has started', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('app', application());
    expect(await juju.step()).toMatchObject({ hook: 'install' });
    expect(juju.statusOf('app/0')).toEqual({ word: 'maintenance', message: 'installing charm software' });
    await juju.settle();
    expect(juju.statusOf('app/0')).toEqual({ word: 'unknown', message: '' });
  });

  it('that is lost runs no hook, and is missed by its peers and by those it was related to', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''), { units: 2 });
    juju.deploy('app', application());
    juju.integrate('shell:database', 'app:database');
    await juju.settle();
    juju.moveLeadership('shell', 'shell/1');
    await juju.settle();
    juju.loseUnit('shell');
    expect((await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`).toSorted()).toEqual([
      'app/0 database-relation-departed',
      'shell/0 cluster-relation-departed',
      'shell/0 leader-elected',
    ]);
  });

  it('is refused in the words of the test', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''));
    await juju.settle();
    juju.faultAt = ({ tool }) => (tool === 'is-leader' ? { says: 'leadership status unknown' } : null);
    const { calls } = await juju.exec('shell/0', async ({ tools }) => {
      expect(await tools.isLeader()).toBe(false);
    });
    expect(calls).toMatchObject([{ tool: 'is-leader', code: 1 }]);
  });
});

describe('the order of hooks', () => {
  it('of a first unit', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''));
    expect(hooksOf(await juju.settle(), 'shell/0')).toEqual([
      'install',
      'cluster-relation-created',
      'leader-elected',
      'config-changed',
      'start',
    ]);
  });

  it('of a follower: Juju 3 has a hook for it, Juju 4 has none', async () => {
    for (const [version, expected] of [
      ['3.6.9', 1],
      ['4.0.0', 0],
    ] as const) {
      await using juju = await JujuModel.open({ version });
      juju.deploy('shell', await shellCharm(''), { units: 2 });
      const ran = await juju.settle();
      expect(ran.filter(({ hook }) => hook === 'leader-settings-changed')).toHaveLength(expected);
      expect(ran.filter(({ hook }) => hook === 'leader-elected')).toHaveLength(1);
    }
  });

  it('has pebble-ready anywhere after install, and once for each start of a Pebble', async () => {
    const places = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      await using juju = await JujuModel.open({ seed });
      juju.deploy('app', scriptedCharm({ name: 'app', containers: { web: {} } }));
      const hooks = hooksOf(await juju.settle(), 'app/0');
      expect(hooks.filter((hook) => hook === 'web-pebble-ready')).toHaveLength(1);
      places.add(hooks.indexOf('web-pebble-ready'));
      juju.restartWorkload('app/0', 'web');
      expect(hooksOf(await juju.settle(), 'app/0')).toEqual(['web-pebble-ready']);
      juju.restartAgent('app/0');
      expect(hooksOf(await juju.settle(), 'app/0').toSorted()).toEqual(['start', 'web-pebble-ready']);
    }
    expect(places).toEqual(new Set([2, 3, 4])); // An election goes before it.
  });

  it('of a relation: created, joined and changed of each unit, departed, broken', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''));
    juju.deploy('app', application(), { units: 2 });
    await juju.settle();
    const id = juju.integrate('shell:database', 'app:database');
    const joined = hooksOf(await juju.settle(), 'shell/0');
    expect(joined[0]).toBe('database-relation-created');
    expect(joined.slice(1)).toEqual([
      'database-relation-joined',
      'database-relation-changed',
      'database-relation-joined',
      'database-relation-changed',
    ]);
    juju.scale('app', 1);
    const scaled = await juju.settle();
    expect(hooksOf(scaled, 'shell/0')).toEqual(['database-relation-departed']);
    expect(hooksOf(scaled, 'app/1')).toEqual([
      'database-relation-departed',
      'database-relation-broken',
      'stop',
      'remove',
    ]);
    juju.removeRelation(id);
    const removed = await juju.settle();
    for (const unit of ['shell/0', 'app/0'])
      expect(hooksOf(removed, unit)).toEqual(['database-relation-departed', 'database-relation-broken']);
    expect(juju.relations.has(id)).toBe(false);
  });

  it('has storage attached anywhere after install, and detached between stop and remove', async () => {
    const places = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      await using juju = await JujuModel.open({ seed });
      const seen: string[] = [];
      const script: Script = async ({ environment, run }) => {
        if (environment['JUJU_STORAGE_ID'] === undefined) return;
        const told = await run({ tool: 'storage-get', args: ['--format=json'] });
        const listed = await run({ tool: 'storage-list', args: ['--format=json', 'data'] });
        expect(JSON.parse(told)).toEqual({ kind: 'filesystem', location: environment['JUJU_STORAGE_LOCATION'] });
        expect(JSON.parse(listed)).toEqual([environment['JUJU_STORAGE_ID']]);
        seen.push(environment['JUJU_HOOK_NAME'] ?? '');
      };
      juju.deploy('app', scriptedCharm({ name: 'app', storage: { data: { type: 'filesystem' } } }, script), {
        units: 2,
      });
      const hooks = hooksOf(await juju.settle(), 'app/1');
      places.add(hooks.indexOf('data-storage-attached'));
      juju.scale('app', 1);
      expect(hooksOf(await juju.settle(), 'app/1')).toEqual(['stop', 'data-storage-detaching', 'remove']);
      expect(seen).toEqual(['data-storage-attached', 'data-storage-attached', 'data-storage-detaching']);
    }
    expect(places.has(0)).toBe(false);
    expect(places.size).toBeGreaterThan(2);
  });

  it('between relations is none', async () => {
    const orders = new Set<string>();
    for (let seed = 1; seed <= 12; seed += 1) {
      await using juju = await JujuModel.open({ seed });
      juju.deploy('app', scriptedCharm({ name: 'app', provides: { a: { interface: 'x' }, b: { interface: 'x' } } }));
      juju.deploy('other', scriptedCharm({ name: 'other', requires: { c: { interface: 'x' } } }));
      await juju.settle();
      juju.integrate('app:a', 'other:c');
      juju.integrate('app:b', 'other:c');
      orders.add(hooksOf(await juju.settle(), 'app/0').join(' '));
    }
    expect(orders.size).toBeGreaterThan(2);
  });

  it('says who departs: the other one, or ourselves when it is we who go', async () => {
    await using juju = await JujuModel.open();
    const told: string[] = [];
    const script: Script = async ({
      environment: { JUJU_HOOK_NAME, JUJU_UNIT_NAME, JUJU_REMOTE_UNIT, JUJU_DEPARTING_UNIT },
    }) => {
      if (JUJU_HOOK_NAME?.endsWith('departed') === true)
        told.push(`${JUJU_UNIT_NAME ?? ''} ${JUJU_REMOTE_UNIT ?? ''} ${JUJU_DEPARTING_UNIT ?? ''}`);
    };
    juju.deploy('app', scriptedCharm({ name: 'app', peers }, script), { units: 2 });
    await juju.settle();
    juju.scale('app', 1);
    const hooks = await juju.settle();
    expect(told.toSorted()).toEqual(['app/0 app/1 app/1', 'app/1 app/0 app/1']);
    expect(hooksOf(hooks, 'app/1')).toEqual(['cluster-relation-departed', 'stop', 'remove']);
  });

  it('has a new leader when the leader goes, and no hook for who lost it', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('app', scriptedCharm({ name: 'app', peers }), { units: 3 });
    await juju.settle();
    const old = juju.leaderOf('app') ?? '';
    const next = juju.unitsOf('app').find((unit) => unit !== old) ?? '';
    juju.moveLeadership('app', next);
    expect((await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`)).toEqual([`${next} leader-elected`]);
    juju.moveLeadership('app', 'app/2');
    await juju.settle();
    juju.scale('app', 2);
    const ran = await juju.settle();
    expect(ran.filter(({ hook }) => hook === 'leader-elected').map(({ unit }) => unit)).toEqual([juju.leaderOf('app')]);
    expect(juju.leaderOf('app')).not.toBe('app/2');
  });

  it('of a removed application ends with nothing left of it', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm('[ $JUJU_HOOK_NAME != leader-elected ] || secret-add --label own key=v'), {
      units: 3,
    });
    juju.deploy('app', application());
    juju.integrate('shell:database', 'app:database');
    await juju.settle();
    expect(juju.secrets.size).toBe(1);
    juju.removeApplication('shell');
    const ran = await juju.settle();
    for (const unit of ['shell/0', 'shell/1', 'shell/2'])
      expect(hooksOf(ran, unit).slice(-2)).toEqual(['stop', 'remove']);
    expect([...juju.applications.keys()]).toEqual(['app']);
    expect([juju.relations.size, juju.secrets.size]).toEqual([0, 0]);
    expect(hooksOf(ran, 'app/0').at(-1)).toBe('database-relation-broken');
  });

  it('renews the pods of a refresh from the highest number down', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('app', scriptedCharm({ name: 'app' }), { units: 3 });
    await juju.settle();
    juju.refresh('app', scriptedCharm({ name: 'app' }));
    const ran = await juju.settle();
    expect(ran.map(({ unit, hook }) => `${unit} ${hook}`)).toEqual(
      ['app/2', 'app/1', 'app/0'].flatMap((unit) =>
        ['stop', 'upgrade-charm', 'config-changed', 'start'].map((hook) => `${unit} ${hook}`),
      ),
    );
  });

  it('has config-changed when an option or an address changed, and not otherwise', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''));
    await juju.settle();
    juju.configure('shell', { listen_port: 7000 });
    juju.configure('shell', { pool_mode: 'statement' });
    expect(hooksOf(await juju.settle(), 'shell/0')).toEqual(['config-changed']);
    juju.configure('shell', { listen_port: 7000 });
    expect(await juju.settle()).toEqual([]);
  });

  it('tries a failed hook again before what comes behind it, while actions and elections go before', async () => {
    await using juju = await JujuModel.open();
    let fails = true;
    juju.deploy(
      'app',
      scriptedCharm({ name: 'app', peers }, async ({ environment }) => {
        if (fails && environment['JUJU_HOOK_NAME'] === 'update-status') throw new Error('not now');
      }),
      { units: 2 },
    );
    await juju.settle();
    const follower = juju.unitsOf('app').find((unit) => unit !== juju.leaderOf('app')) ?? '';
    juju.updateStatus(follower);
    expect(await juju.step()).toMatchObject({ hook: 'update-status', succeeded: false });
    juju.restartAgent(follower);
    expect(await juju.step()).toMatchObject({ hook: 'update-status', succeeded: false });
    juju.moveLeadership('app', follower);
    expect(await juju.step()).toMatchObject({ hook: 'leader-elected', succeeded: true });
    fails = false;
    expect((await juju.settle()).map(({ hook }) => hook)).toEqual(['update-status', 'start']);
  });
});

describe('a unit whose hook fails again and again', () => {
  it('holds up no other unit', async () => {
    await using juju = await JujuModel.open();
    juju.deploy('app', application());
    juju.deploy(
      'broken',
      scriptedCharm({ name: 'broken' }, () => Promise.reject(new Error('never'))),
    );
    for (let step = 0; step < 12; step += 1) await juju.step();
    expect(hooksOf(juju.history, 'app/0')).toContain('start');
    expect(juju.unit('broken/0').failed?.attempts).toBeGreaterThan(2);
  });
});

describe('bags', () => {
  const related = async (
    juju: JujuModel,
  ): Promise<{ readonly id: number; readonly peer: number; readonly leader: string; readonly follower: string }> => {
    juju.deploy('shell', await shellCharm(''), { units: 2 });
    juju.deploy('app', application(), { units: 2 });
    const id = juju.integrate('shell:database', 'app:database');
    await juju.settle();
    const leader = juju.leaderOf('shell') ?? '';
    const follower = juju.unitsOf('shell').find((unit) => unit !== leader) ?? '';
    return { id, peer: juju.relationsOf('shell', 'cluster')[0] ?? 0, leader, follower };
  };

  it('are read and written by those who may, and nobody else', async () => {
    await using juju = await JujuModel.open();
    const { id, peer, leader, follower } = await related(juju);
    const [database, cluster] = [
      { endpoint: 'database', id },
      { endpoint: 'cluster', id: peer },
    ];
    await juju.exec(leader, async ({ tools }) => {
      await tools.writeBag(database, 'application', { username: 'u' });
      await tools.writeBag(cluster, 'application', { shared: 'yes' });
      expect(await tools.readBag(database, 'shell', 'application')).toEqual({ username: 'u' });
    });
    await juju.settle();
    const { calls } = await juju.exec(follower, async ({ tools }) => {
      await expect(tools.readBag(database, 'shell', 'application')).rejects.toMatchObject({ kind: 'forbidden' });
      await expect(tools.readBag(database, leader, 'unit')).rejects.toMatchObject({ kind: 'forbidden' });
      await expect(tools.writeBag(database, 'application', { a: 'b' })).rejects.toMatchObject({ kind: 'notLeader' });
      expect(await tools.readBag(cluster, 'shell', 'application')).toEqual({ shared: 'yes' });
      expect(await tools.readBag(cluster, leader, 'unit')).toHaveProperty('ingress-address');
      expect(await tools.readBag(database, 'app/0', 'unit')).toHaveProperty('ingress-address');
      expect(await tools.readBag(database, 'app', 'application')).toEqual({});
      await tools.writeBag(database, 'unit', { mine: 'yes' });
      expect(await tools.readBag(database, follower, 'unit')).toMatchObject({ mine: 'yes' });
    });
    expect(calls.map(({ tool, code }) => `${tool} ${code}`)).toEqual([
      'relation-get 1',
      'relation-get 1',
      'relation-set 1',
      'relation-get 0',
      'relation-get 0',
      'relation-get 0',
      'relation-get 0',
      'relation-set 0',
      'relation-get 0',
    ]);
    expect(juju.bag(id, follower)).toMatchObject({ mine: 'yes' });
    expect(juju.bag(id, 'shell')).toEqual({ username: 'u' });
  });

  it('tell the other side, several writes at once, and never the writer', async () => {
    await using juju = await JujuModel.open();
    const { id, peer, leader, follower } = await related(juju);
    for (const value of ['1', '2'])
      await juju.exec(leader, async ({ tools }) => {
        await tools.writeBag({ endpoint: 'database', id }, 'application', { value });
        await tools.writeBag({ endpoint: 'cluster', id: peer }, 'application', { value });
        await tools.writeBag({ endpoint: 'cluster', id: peer }, 'unit', { value });
      });
    const told = (await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`);
    expect(told.toSorted()).toEqual(
      [
        'app/0 database-relation-changed',
        'app/1 database-relation-changed',
        `${follower} cluster-relation-changed`,
        `${follower} cluster-relation-changed`, // One for the application's bag, one for the unit's.
      ].toSorted(),
    );
    await juju.exec(leader, ({ tools }) =>
      tools.writeBag({ endpoint: 'database', id }, 'application', { value: '2', not: '' }),
    );
    expect(await juju.settle()).toEqual([]);
  });

  it('of remote units stay as they were until the next changed is told', async () => {
    await using juju = await JujuModel.open();
    const { id, leader } = await related(juju);
    const seen: unknown[] = [];
    const look: Script = async ({ tools }) => {
      seen.push((await tools.readBag({ endpoint: 'database', id }, 'app/0', 'unit'))?.['value']);
    };
    await juju.exec(leader, look);
    await juju.exec('app/0', ({ tools }) => tools.writeBag({ endpoint: 'database', id }, 'unit', { value: 'new' }));
    await juju.exec(leader, look);
    await juju.settle();
    await juju.exec(leader, look);
    expect(seen).toEqual([undefined, undefined, 'new']);
  });

  it('of a relation that is gone are not found, and readable while it breaks', async () => {
    await using juju = await JujuModel.open();
    const seen: unknown[] = [];
    juju.deploy('shell', await shellCharm(''));
    juju.deploy(
      'app',
      application(async ({ environment, tools }) => {
        if (environment['JUJU_HOOK_NAME'] !== 'database-relation-broken') return;
        const relation = { endpoint: 'database', id };
        seen.push(
          await tools.relationIds('database'),
          await tools.relationUnits(relation),
          await tools.readBag(relation, 'shell', 'application'),
        );
      }),
    );
    const id = juju.integrate('shell:database', 'app:database');
    await juju.settle();
    await juju.exec('shell/0', ({ tools }) =>
      tools.writeBag({ endpoint: 'database', id }, 'application', { left: 'behind' }),
    );
    juju.removeRelation(id);
    await juju.settle();
    expect(seen).toEqual([[], [], { left: 'behind' }]);
    const { calls } = await juju.exec('shell/0', async ({ tools }) => {
      expect(await tools.readBag({ endpoint: 'database', id }, 'app', 'application')).toBeNull();
      expect(await tools.relationUnits({ endpoint: 'database', id })).toEqual([]);
    });
    expect(calls.map(({ code }) => code)).toEqual([2, 2]);
  });

  it('are not there during install', async () => {
    await using juju = await JujuModel.open();
    juju.deploy(
      'shell',
      await shellCharm('[ $JUJU_HOOK_NAME = install ] && relation-ids --format=json cluster; exit 0'),
    );
    const [install] = await juju.settle();
    expect(install).toMatchObject({ hook: 'install', stdout: '[]\n' });
  });

  it('take texts only, and YAML as Juju reads it', async () => {
    await using juju = await JujuModel.open();
    const { id, leader } = await related(juju);
    const odd = {
      controls: '\u001b\u007f\u0085',
      ends: '\u2028',
      word: 'yes',
      number: '010',
      far: '🐘',
      lines: 'a\n b',
    };
    const ran = await juju.exec(leader, async ({ tools, run }) => {
      await tools.writeBag({ endpoint: 'database', id }, 'application', odd);
      const set = { tool: 'relation-set', args: ['-r', `database:${id}`, '--file', '-'] };
      await expect(run({ ...set, input: '{"a": 1}' })).rejects.toThrow('not a text');
      await expect(run({ ...set, input: '{"a": "\u007f"}' })).rejects.toThrow('control characters');
    });
    expect(ran.succeeded).toBe(true);
    expect(juju.bag(id, 'shell')).toEqual(odd);
  });
});

describe('secrets', () => {
  const shared = async (
    juju: JujuModel,
  ): Promise<{ readonly id: number; readonly uri: string; readonly leader: string; readonly follower: string }> => {
    juju.deploy('shell', await shellCharm(''), { units: 2 });
    juju.deploy('app', application());
    const id = juju.integrate('shell:database', 'app:database');
    await juju.settle();
    const leader = juju.leaderOf('shell') ?? '';
    let uri = '';
    await juju.exec(leader, async ({ tools }) => {
      uri = await tools.secretAdd({ owner: 'application', label: 'troupe', content: { password: new Secret('1') } });
    });
    return { id, uri, leader, follower: juju.unitsOf('shell').find((unit) => unit !== leader) ?? '' };
  };
  const passwordOf = (content: Readonly<Record<string, Secret>> | null): string | undefined =>
    content?.['password']?.reveal();
  const setTo =
    (uri: string, password: string): Script =>
    ({ tools }) =>
      tools.secretSet(uri, 'application', { password: new Secret(password) });

  it('are read by those they are granted to, for as long as the relation lives', async () => {
    await using juju = await JujuModel.open();
    const { id, uri, leader } = await shared(juju);
    await juju.exec('app/0', async ({ tools }) => {
      await expect(tools.secretGet({ id: uri })).rejects.toMatchObject({ kind: 'forbidden' });
      expect(await tools.secretGet({ id: 'secret:00000000000000000000' })).toBeNull();
      expect(await tools.secretInfo({ id: uri })).toBeNull();
    });
    await juju.exec(leader, async ({ tools }) => {
      await tools.secretGrant(uri, { endpoint: 'database', id });
      expect(await tools.secretInfo({ label: 'troupe' })).toMatchObject({
        revision: 1,
        label: 'troupe',
        owner: 'application',
      });
    });
    const read = await juju.exec('app/0', async ({ tools }) => {
      expect(passwordOf(await tools.secretGet({ id: uri, label: 'mine' }))).toBe('1');
      expect(passwordOf(await tools.secretGet({ label: 'mine' }))).toBe('1');
      expect(passwordOf(await tools.secretGet({ id: `secret://${juju.uuid}/${uri.slice(7)}` }))).toBe('1');
    });
    expect(read.succeeded).toBe(true);
    juju.removeRelation(id);
    await juju.settle();
    const after = await juju.exec('app/0', async ({ tools }) => {
      await expect(tools.secretGet({ id: uri })).rejects.toMatchObject({ kind: 'forbidden' });
    });
    expect(after.succeeded).toBe(true);
  });

  it('stay at the revision that was read until the newest is asked for, and tell of each new one', async () => {
    await using juju = await JujuModel.open();
    const { id, uri, leader } = await shared(juju);
    await juju.exec(leader, ({ tools }) => tools.secretGrant(uri, { endpoint: 'database', id }));
    await juju.exec('app/0', ({ tools }) => tools.secretGet({ id: uri, label: 'mine' }).then(() => undefined));
    await juju.exec(leader, setTo(uri, '2'));
    expect((await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`)).toEqual(['app/0 secret-changed']);
    const seen: (string | undefined)[] = [];
    await juju.exec('app/0', async ({ tools }) => {
      seen.push(passwordOf(await tools.secretGet({ label: 'mine' })));
      seen.push(passwordOf(await tools.secretGet({ label: 'mine' }, 'peek')));
      seen.push(passwordOf(await tools.secretGet({ label: 'mine' })));
      seen.push(passwordOf(await tools.secretGet({ label: 'mine' }, 'refresh')));
      seen.push(passwordOf(await tools.secretGet({ label: 'mine' })));
    });
    expect(seen).toEqual(['1', '2', '1', '2', '2']);
    // Nobody reads the first revision any more, which its owner is told.
    expect((await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`)).toEqual([`${leader} secret-remove`]);
  });

  it('make no revision of equal content since 3.6, and one before', async () => {
    for (const [version, revisions] of [
      ['3.6.9', 1],
      ['3.5.4', 2],
    ] as const) {
      await using juju = await JujuModel.open({ version });
      const { uri, leader } = await shared(juju);
      await juju.exec(leader, setTo(uri, '1'));
      expect([...juju.secrets.values()].map(({ latest }) => latest)).toEqual([revisions]);
    }
  });

  it('of the application are read by its followers, by label and with refresh, and changed by the leader', async () => {
    await using juju = await JujuModel.open();
    const { uri, leader, follower } = await shared(juju);
    const content = { password: new Secret('x') };
    const ran = await juju.exec(follower, async ({ tools, run }) => {
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }, 'refresh'))).toBe('1');
      await expect(run({ tool: 'secret-get', args: [uri, '--label', 'troupe'] })).rejects.toThrow(
        'only unit leaders can',
      );
      expect(passwordOf(await tools.secretGet({ id: uri, label: 'troupe' }))).toBe('1');
      await expect(tools.secretSet(uri, 'application', content)).rejects.toMatchObject({ kind: 'notLeader' });
      await expect(tools.secretAdd({ owner: 'application', label: 'x', content })).rejects.toMatchObject({
        kind: 'notLeader',
      });
      await expect(tools.secretRemove(uri)).rejects.toMatchObject({ kind: 'notLeader' });
      await tools.secretAdd({ owner: 'unit', label: 'troupe', content });
      expect(await tools.secretIds()).toEqual([]);
    });
    expect(ran).toMatchObject({ succeeded: true });
    const again = await juju.exec(leader, async ({ tools }) => {
      await expect(tools.secretAdd({ owner: 'application', label: 'troupe', content })).rejects.toMatchObject({
        kind: 'labelTaken',
      });
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }))).toBe('1');
      await tools.secretSet(uri, 'application', { password: new Secret('2') });
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }))).toBe('1');
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }, 'peek'))).toBe('2');
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }, 'refresh'))).toBe('2');
      expect(await tools.secretIds()).toEqual([uri.slice(7)]);
    });
    expect(again).toMatchObject({ succeeded: true });
    expect(juju.secret(uri)).toEqual({ password: '2' });
  });

  it('are read by their owner without flags before 3.1.7', async () => {
    await using juju = await JujuModel.open({ version: '3.1.5' });
    const { uri, leader } = await shared(juju);
    await juju.exec(leader, setTo(uri, '2'));
    const ran = await juju.exec(leader, async ({ tools, run }) => {
      await expect(run({ tool: 'secret-get', args: ['--label', 'troupe', '--refresh'] })).rejects.toThrow('cannot use');
      expect(passwordOf(await tools.secretGet({ label: 'troupe' }, 'refresh'))).toBe('2');
    });
    expect(ran).toMatchObject({ succeeded: true });
  });

  it('are due to be rotated until their content changes, and their owner alone is told', async () => {
    await using juju = await JujuModel.open();
    const { uri, leader } = await shared(juju);
    const day = 86_400_000;
    await juju.exec(leader, async ({ run }) => {
      await run({ tool: 'secret-set', args: [uri, '--rotate', 'daily'] });
    });
    const told = async (ms: number): Promise<readonly string[]> => {
      juju.timePasses(ms);
      return (await juju.settle()).map(({ unit, hook }) => `${unit} ${hook}`);
    };
    expect(await told(day - 60_000)).toEqual([]);
    expect(await told(120_000)).toEqual([`${leader} secret-rotate`]);
    expect(await told(1)).toEqual([`${leader} secret-rotate`]);
    await juju.exec(leader, setTo(uri, '2'));
    await juju.settle();
    expect(await told(60_000)).toEqual([]);
    juju.moveLeadership('shell', juju.unitsOf('shell').find((unit) => unit !== leader) ?? '');
    await juju.settle();
    expect(await told(day)).toEqual([`${juju.leaderOf('shell')} secret-rotate`]);
  });

  it('that have expired are told of until the revision is removed or is to last longer', async () => {
    await using juju = await JujuModel.open();
    const { uri, leader } = await shared(juju);
    const hour = 3_600_000;
    const expire = (after: string): Promise<RanHook> =>
      juju.exec(leader, async ({ run }) => void (await run({ tool: 'secret-set', args: [uri, '--expire', after] })));
    await expire('1h');
    const told = async (): Promise<readonly string[]> => (await juju.settle()).map(({ hook }) => hook);
    expect(await told()).toEqual([]);
    for (let time = 0; time < 2; time += 1) {
      juju.timePasses(hour);
      expect(await told()).toEqual(['secret-expired']);
    }
    await expire('2h');
    juju.timePasses(hour);
    expect(await told()).toEqual([]);
    juju.timePasses(hour);
    expect(await told()).toEqual(['secret-expired']);
    await juju.exec(leader, ({ tools }) => tools.secretRemove(uri, 1));
    juju.timePasses(hour);
    expect(await told()).toEqual([]);
    expect(juju.secret(uri)).toBeNull();
  });

  it('added and removed in one hook fail it in Juju 4', async () => {
    for (const [version, succeeded] of [
      ['3.6.9', true],
      ['4.0.0', false],
    ] as const) {
      await using juju = await JujuModel.open({ version });
      const { leader } = await shared(juju);
      const ran = await juju.exec(leader, async ({ tools }) => {
        const id = await tools.secretAdd({ owner: 'application', label: 'x', content: { password: new Secret('1') } });
        await tools.secretRemove(id);
      });
      expect([version, ran.succeeded]).toEqual([version, succeeded]);
    }
  });

  it('that are not ours fail the hook at its end, not at the call', async () => {
    await using juju = await JujuModel.open();
    const { leader } = await shared(juju);
    const ran = await juju.exec(leader, setTo('secret:00000000000000000000', 'x'));
    expect(ran).toMatchObject({ code: 0, succeeded: false });
    expect(ran.stderr).toContain('not found');
  });

  it('take an empty value from a file, and none from an argument', async () => {
    await using juju = await JujuModel.open();
    const { leader } = await shared(juju);
    const ran = await juju.exec(leader, async ({ tools, run }) => {
      await expect(run({ tool: 'secret-add', args: ['tls-ca='] })).rejects.toThrow('missing value');
      await tools.secretAdd({ owner: 'application', label: 'empty', content: { 'tls-ca': new Secret('') } });
      expect((await tools.secretGet({ label: 'empty' }))?.['tls-ca']?.reveal()).toBe('');
    });
    expect(ran).toMatchObject({ succeeded: true });
  });
});

describe('actions', () => {
  it('get their parameters, and give back results, streams and failures', async () => {
    await using juju = await JujuModel.open();
    const charm = await shellCharm(`
      [ "$JUJU_DISPATCH_PATH" = actions/greet ] || exit 0
      [ -z "$JUJU_HOOK_NAME" ] || exit 9
      name=$(action-get name)
      action-set greeting.text="hello $name" greeting.to="$name"
      echo spoken
      [ "$name" != nobody ] || action-fail -- "there is nobody"
      [ "$name" != crash ] || exit 4
      state-set greeted="$name"`);
    juju.deploy('shell', charm);
    await juju.settle();
    expect(await juju.runAction('shell/0', 'greet')).toEqual({
      status: 'completed',
      message: '',
      results: { greeting: { text: 'hello you', to: 'you' }, stdout: 'spoken\n', 'return-code': 0 },
    });
    expect(await juju.runAction('shell/0', 'greet', { name: 'nobody' })).toMatchObject({
      status: 'failed',
      message: 'there is nobody',
    });
    expect(juju.unit('shell/0').state).toEqual({ greeted: 'nobody' });
    expect(await juju.runAction('shell/0', 'greet', { name: 'crash' })).toMatchObject({
      status: 'failed',
      results: { 'return-code': 4 },
    });
    expect(juju.unit('shell/0').state).toEqual({ greeted: 'nobody' });
    expect(juju.unit('shell/0').failed).toBeNull();
  });
});

describe('our hook tools against the executables', () => {
  it('work from within a dispatch, each as a process of its own', async () => {
    await using juju = await JujuModel.open();
    const charm = await shellCharm(
      `exec ${process.execPath} ${fileURLToPath(new URL('../support/juju/every-tool-process.ts', import.meta.url))}`,
    );
    juju.deploy('shell', charm);
    juju.deploy('app', application());
    const id = juju.integrate('shell:database', 'app:database');
    await juju.settle();
    const said: unknown = JSON.parse(await readFile(join(juju.unit('shell/0').charmDirectory, 'said.json'), 'utf8'));
    expect(said).toEqual({
      isLeader: true,
      config: { listen_port: 6432, pool_mode: 'session' },
      relationIds: [id],
      relationUnits: ['app/0'],
      remoteApplication: 'app',
      relationModel: juju.uuid,
      ownBag: { odd: 'it\'s "so"\n🐘' },
      goneBag: null,
      secret: 'p',
      info: { revision: 1, label: 'troupe', owner: 'application' },
      noSecret: null,
      forbidden: 'failed',
      state: { memory: 'x'.repeat(60_000) },
      ports: [6432],
      network: { bindAddresses: 1, ingressAddresses: 1, egressSubnets: 1 },
      noNetwork: null,
      goalUnits: ['shell/0'],
      missing: 'failed',
    });
    expect(juju.bag(id, 'shell')).toEqual({ odd: 'it\'s "so"\n🐘' });
    expect(juju.unit('shell/0').state).toEqual({ memory: 'x'.repeat(60_000) });
    expect([...juju.unit('shell/0').ports]).toEqual(['6432/tcp']);
    expect(juju.statusOf('shell/0')).toEqual({ word: 'active', message: '-said' });
    expect(juju.statusOf('shell')).toEqual({ word: 'waiting', message: 'for nothing' });
    expect(juju.applications.get('shell')?.version).toBe('1.26.0');
    expect(juju.logs).toContainEqual({ unit: 'shell/0', level: 'WARNING', message: `database:${id}: --logged` });
    const argumentsSeen = juju.history.flatMap(({ calls }) =>
      calls.flatMap(({ args, input }) => [...args, input ?? '']),
    );
    expect(argumentsSeen.filter((text) => text.includes('swordfish'))).toEqual([]);
    expect([...juju.secrets.values()].map(({ revisions, latest }) => revisions.get(latest))).toContainEqual({
      password: 'p',
      other: 'swordfish',
    });
  });
});

describe('a relation across models', () => {
  it('hides the name of who is abroad from the side that offers, and from nobody else', async () => {
    await using juju = await JujuModel.open();
    const told: (readonly (string | undefined)[])[] = [];
    const listens: Script = async ({ environment: { JUJU_HOOK_NAME, JUJU_REMOTE_APP, JUJU_REMOTE_UNIT } }) => {
      if (JUJU_HOOK_NAME?.startsWith('database-relation-') === true) told.push([JUJU_REMOTE_APP, JUJU_REMOTE_UNIT]);
    };
    juju.deploy('shell', scriptedCharm({ name: 'shell', provides }, listens));
    juju.deploy('app', application());
    const id = juju.integrate('shell:database', 'app:database', { acrossModels: true });
    await juju.settle();
    const relation = { endpoint: 'database', id };
    await juju.exec('app/0', ({ tools }) => tools.writeBag(relation, 'application', { database: 'orders' }));
    await juju.settle();
    const alias = told[0]?.[0] ?? '';
    expect(alias).toMatch(/^remote-[0-9a-f]{32}$/);
    expect(new Set(told.map(([app]) => app))).toEqual(new Set([alias]));
    expect(told.map(([, unit]) => unit)).toEqual(['', `${alias}/0`, `${alias}/0`, '']);
    await juju.exec('shell/0', async ({ tools }) => {
      expect(await tools.remoteApplication(relation)).toBe(alias);
      expect(await tools.relationUnits(relation)).toEqual([`${alias}/0`]);
      expect(await tools.readBag(relation, alias, 'application')).toEqual({ database: 'orders' });
      expect(await tools.readBag(relation, `${alias}/0`, 'unit')).toHaveProperty('ingress-address');
      await expect(tools.readBag(relation, 'app/0', 'unit')).rejects.toMatchObject({ kind: 'forbidden' });
      expect(await tools.relationModel(relation)).not.toBe(juju.uuid);
      const content = { password: new Secret('x') };
      await tools.secretGrant(await tools.secretAdd({ owner: 'application', label: 'x', content }), relation);
    });
    await juju.exec('app/0', async ({ tools }) => {
      expect(await tools.remoteApplication(relation)).toBe('shell');
      const content = { password: new Secret('x') };
      const own = await tools.secretAdd({ owner: 'application', label: 'x', content });
      await expect(tools.secretGrant(own, relation)).rejects.toMatchObject({ kind: 'forbidden' });
    });
  });
});

describe('what Juju would never do is refused', () => {
  it.each<[string, (juju: JujuModel) => unknown]>([
    ['an application twice', (juju) => juju.deploy('shell', application())],
    ['a relation to nobody', (juju) => juju.integrate('shell:database', 'nobody:database')],
    ['an endpoint that is not declared', (juju) => juju.integrate('shell:db', 'app:database')],
    ['two providers', (juju) => juju.integrate('shell:database', 'other:database')],
    ['interfaces that differ', (juju) => juju.integrate('shell:database', 'web:database')],
    ['the same relation twice', (juju) => [1, 2].map(() => juju.integrate('shell:database', 'app:database'))],
    ['the end of a peer relation', (juju) => juju.removeRelation(juju.relationsOf('shell', 'cluster')[0] ?? 0)],
    ['an unknown option', (juju) => juju.configure('shell', { nothing: 1 })],
    ['a text for a number', (juju) => juju.configure('shell', { listen_port: '6432' })],
    ['half a number', (juju) => juju.configure('shell', { listen_port: 0.5 })],
    ['an unknown action', (juju) => void juju.startAction('shell/0', 'nothing')],
    ['a parameter of another type', (juju) => void juju.startAction('shell/0', 'greet', { name: 1 })],
    ['an unknown container', (juju) => juju.restartWorkload('shell/0', 'web')],
    ['a leader of another application', (juju) => juju.moveLeadership('shell', 'app/0')],
    ['a unit that is not there', (juju) => juju.updateStatus('shell/7')],
    ['a name that is none', (juju) => juju.deploy('App_1', application())],
    ['less than no units', (juju) => juju.scale('shell', -1)],
    ['options of what is being removed', (juju) => [juju.removeApplication('shell'), juju.configure('shell', {})]],
    ['more units of what is being removed', (juju) => [juju.removeApplication('shell'), juju.scale('shell', 2)]],
    [
      'a refresh to a charm without an endpoint that is related',
      (juju) => [juju.integrate('shell:database', 'app:database'), juju.refresh('app', scriptedCharm({ name: 'app' }))],
    ],
  ])('%s', async (_, impossible) => {
    await using juju = await JujuModel.open();
    juju.deploy('shell', await shellCharm(''));
    juju.deploy('app', application());
    juju.deploy('other', scriptedCharm({ name: 'other', provides }));
    juju.deploy('web', scriptedCharm({ name: 'web', requires: { database: { interface: 'http' } } }));
    expect(() => impossible(juju)).toThrow(ImpossibleInJuju);
  });

  it.each<[string, string, (juju: JujuModel) => unknown]>([
    ['a charm that assumes a newer Juju', '3.0.3', (juju) => juju.deploy('new', scriptedCharm(assuming))],
    ['a notice before there were notices', '3.3.9', (juju) => juju.notify('app/0', notice('custom-notice'))],
    ['a check before there were checks', '3.5.9', (juju) => juju.notify('app/0', notice('check-failed'))],
    ['a secret of a user before there were such', '3.2.9', (juju) => juju.addUserSecret({ key: 'x' }, ['app'])],
  ])('%s', async (_, version, impossible) => {
    for (const [of, isRefused] of [
      [version, true],
      ['3.6.12', false],
    ] as const) {
      await using juju = await JujuModel.open({ version: of });
      juju.deploy('app', scriptedCharm({ name: 'app', containers: { web: {} } }));
      if (isRefused) expect(() => impossible(juju)).toThrow(ImpossibleInJuju);
      else impossible(juju);
    }
  });

  it('a charm without metadata, or without an executable dispatch', async () => {
    expect(() => charmIn(home)).toThrow('charm missing from disk');
    const directory = join(home, 'no-dispatch');
    await mkdir(directory);
    await writeFile(join(directory, 'metadata.yaml'), 'name: x\n');
    expect(() => charmIn(directory)).toThrow('no executable dispatch');
  });
});
