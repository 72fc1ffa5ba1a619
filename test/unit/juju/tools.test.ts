import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Secret } from '../../../src/actors/model/secret.ts';
import { isSameSecret, secretUri, xidOf } from '../../../src/infra/juju/secret-id.ts';
import { toolsOnPath } from '../../../src/infra/juju/tool-process.ts';
import { refusalKindOf, ToolRefusal } from '../../../src/infra/juju/tool-refusal.ts';
import { createJujuTools, type JujuTools } from '../../../src/infra/juju/tools.ts';
import { yamlInput } from '../../../src/infra/juju/yaml-input.ts';

const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

/** Hook tools as shell scripts; each call is kept in `calls`, its arguments one a line. */
const toolsThat = async (scripts: Readonly<Record<string, string>>, limitMs = 10_000): Promise<ToolsUnderTest> => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-tools-'));
  directories.push(directory);
  const path = join(directory, 'bin');
  await mkdir(path);
  for (const [name, script] of Object.entries(scripts)) {
    const file = join(path, name);
    await writeFile(file, `#!/bin/sh\nprintf '%s\\n' "\${0##*/}" "$@" >>${directory}/calls\n${script}\n`);
    await chmod(file, 0o755);
  }
  const environment = { PATH: `${path}:/usr/bin:/bin`, HERE: directory };
  return {
    tools: createJujuTools(toolsOnPath(environment, limitMs)),
    directory,
    read: (name) => readFile(join(directory, name), 'utf8'),
  };
};
interface ToolsUnderTest {
  readonly tools: JujuTools;
  readonly directory: string;
  readonly read: (name: string) => Promise<string>;
}

const printing = (answer: unknown): string => `printf '%s' '${JSON.stringify(answer)}'`;
const refusing = (words: string, code = 1): string => `echo 'ERROR ${words}' >&2; exit ${code}`;
const database = { endpoint: 'database', id: 7 };

describe('what hook tools answer', () => {
  it('takes null for an empty list or map', async () => {
    const scripts = ['relation-ids', 'relation-list', 'relation-get', 'config-get', 'state-get', 'opened-ports'];
    const { tools } = await toolsThat(
      Object.fromEntries([...scripts, 'secret-ids', 'action-get'].map((name) => [name, printing(null)])),
    );
    expect(await tools.relationIds('database')).toEqual([]);
    expect(await tools.relationUnits(database)).toEqual([]);
    expect(await tools.readBag(database, 'app', 'application')).toEqual({});
    expect(await tools.config()).toEqual({});
    expect(await tools.stateGet()).toEqual({});
    expect(await tools.openedPorts()).toEqual([]);
    expect(await tools.secretIds()).toEqual([]);
    expect(await tools.actionParameters()).toEqual({});
  });

  it('sorts relations as numbers, which Juju does not', async () => {
    const { tools } = await toolsThat({ 'relation-ids': printing(['db:10', 'db:100', 'db:9']) });
    expect(await tools.relationIds('db')).toEqual([9, 10, 100]);
  });

  it('leaves out options that are not set, and keeps numbers and booleans what they are', async () => {
    const { tools } = await toolsThat({
      'config-get': printing({ listen_port: 6432, vip: null, pool_mode: 'session', debug: false }),
    });
    expect(await tools.config()).toEqual({ listen_port: 6432, pool_mode: 'session', debug: false });
  });

  it('reads addresses, and knows an endpoint without a network', async () => {
    const { tools } = await toolsThat({
      'network-get': `if [ "$2" = peers ]; then ${printing({
        'bind-addresses': [{ 'interface-name': 'eth0', addresses: [{ hostname: '', value: '10.1.0.5', cidr: '' }] }],
        'egress-subnets': ['10.1.0.5/32'],
        'ingress-addresses': ['10.1.0.5'],
      })}; else ${refusing('no network config found for binding "x"')}; fi`,
    });
    expect(await tools.network('peers')).toEqual({
      bindAddresses: ['10.1.0.5'],
      ingressAddresses: ['10.1.0.5'],
      egressSubnets: ['10.1.0.5/32'],
    });
    expect(await tools.network('x')).toBeNull();
  });

  it('refuses an answer that is not what the tool promises', async () => {
    const { tools } = await toolsThat({ 'is-leader': 'echo True', 'state-get': printing(['a']) });
    await expect(tools.isLeader()).rejects.toThrow('Juju refuses is-leader: it answers something that is not under');
    await expect(tools.stateGet()).rejects.toMatchObject({ kind: 'failed', tool: 'state-get' });
  });
});

describe('what hook tools refuse', () => {
  it.each([
    ['relation-get', 'invalid value "db:9" for option -r: relation not found', 'relationGone'],
    ['network-get', 'Relation Not Found', 'relationGone'],
    ['relation-get', 'permission denied', 'forbidden'],
    ['relation-set', 'cannot write relation settings', 'notLeader'],
    ['status-set', 'setting application status: this unit is not the leader', 'notLeader'],
    ['is-leader', 'leadership status unknown', 'leadershipUnknown'],
    ['secret-get', 'secret "9m4e2mr0ui3e8a215n4g" not found', 'secretMissing'],
    ['secret-get', 'consumer label "troupe" not found', 'secretMissing'],
    ['secret-get', 'secret URI for consumer label "troupe" not found', 'secretMissing'],
    ['secret-info-get', 'secret "x" not found', 'secretMissing'],
    ['secret-grant', 'relation not found', 'relationGone'],
    ['secret-add', 'secret with label "troupe" already exists', 'labelTaken'],
    ['secret-get', 'only unit leaders can update an application owned secret label', 'notLeader'],
    ['secret-get', 'either URI or label should be used for getting an owned secret but not both', 'ownerRead'],
    ['secret-get', 'secret owner cannot use --refresh', 'ownerRead'],
    ['open-port', 'port ranges are not supported for k8s applications', 'failed'],
    ['action-set', 'not running an action', 'failed'],
    ['resource-get', 'resource not found', 'failed'],
    ['secret-set', 'access denied', 'forbidden'],
  ])('%s: %s', (tool, words, kind) => {
    expect(refusalKindOf(tool, `ERROR ${words}\n`)).toBe(kind);
  });

  it('takes a relation that is gone for an empty one, whatever the exit code', async () => {
    for (const code of [1, 2]) {
      const gone = refusing('invalid value "database:7" for option -r: relation not found', code);
      const { tools } = await toolsThat({ 'relation-get': gone, 'relation-list': gone, 'relation-model-get': gone });
      expect(await tools.readBag(database, 'app', 'application')).toBeNull();
      expect(await tools.relationUnits(database)).toEqual([]);
      expect(await tools.remoteApplication(database)).toBeNull();
      expect(await tools.relationModel(database)).toBeNull();
    }
  });

  it('says what Juju said, and what kind of refusal it is', async () => {
    const { tools } = await toolsThat({ 'relation-set': refusing('cannot write relation settings') });
    await expect(tools.writeBag(database, 'application', { a: 'b' })).rejects.toThrow(ToolRefusal);
    await expect(tools.writeBag(database, 'application', { a: 'b' })).rejects.toMatchObject({
      kind: 'notLeader',
      message: 'Juju refuses relation-set: cannot write relation settings',
    });
  });

  it('leads nothing while the agent does not know', async () => {
    const { tools } = await toolsThat({ 'is-leader': refusing('leadership status unknown') });
    expect(await tools.isLeader()).toBe(false);
  });

  it('knows a tool that this Juju does not have', async () => {
    const { tools } = await toolsThat({});
    const timers = () => process.getActiveResourcesInfo().filter((what) => what === 'Timeout').length;
    const before = timers();
    await expect(tools.isLeader()).rejects.toMatchObject({ kind: 'missingTool' });
    expect(await tools.relationModel(database)).toBeNull();
    // Or the dispatch would go on until they are over.
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('starts a few at a time, and answers all', async () => {
    // Each says so, waits until four have, and is counted while it runs.
    const script = `echo x >>$HERE/began
      while [ "$(wc -l <$HERE/began)" -lt 4 ]; do sleep 0.01; done
      echo "$(ls $HERE/running | wc -l)" >>$HERE/counts; rm -f "$HERE/running/$$"; echo '["db:1"]'`;
    const { tools, directory, read } = await toolsThat({ 'relation-ids': `: >$HERE/running/$$; ${script}` });
    await mkdir(join(directory, 'running'));
    const answers = await Promise.all(Array.from({ length: 9 }, () => tools.relationIds('db')));
    expect(answers).toEqual(Array.from({ length: 9 }, () => [1]));
    const counts = (await read('counts')).trim().split('\n').map(Number);
    expect(counts).toHaveLength(9);
    expect(Math.max(...counts)).toBeLessThanOrEqual(4);
  });

  it('ends a tool that does not answer', async () => {
    const { tools } = await toolsThat({ 'is-leader': 'exec sleep 30' }, 200);
    await expect(tools.isLeader()).rejects.toThrow('no answer within 0.2 s');
  });

  it('refuses arguments that no process may have', async () => {
    const { tools } = await toolsThat({ 'action-set': '' });
    await expect(tools.actionSet({ large: 'x'.repeat(200_000) })).rejects.toThrow('longer than a process may have');
  });
});

describe('what hook tools are given', () => {
  it('gives them no input but where they ask for it', async () => {
    const { tools, read } = await toolsThat({ 'is-leader': 'readlink /proc/self/fd/0 >$HERE/stdin; echo true' });
    expect(await tools.isLeader()).toBe(true);
    expect((await read('stdin')).trim()).toBe('/dev/null');
  });

  it('writes a bag in one call, names the relation in full, and writes nothing when nothing changed', async () => {
    const { tools, read } = await toolsThat({ 'relation-set': 'cat >>$HERE/input' });
    await tools.writeBag(database, 'application', {});
    await tools.writeBag(database, 'application', { endpoints: 'a:1', gone: '' });
    expect(await read('calls')).toBe('relation-set\n-r\ndatabase:7\n--app\n--file\n-\n');
    expect(JSON.parse(await read('input'))).toEqual({ endpoints: 'a:1', gone: '' });
  });

  it('minds that the input is read as YAML', () => {
    const texts = {
      json: '{"a": ["b", 1]}',
      lines: 'a\nb\r\n\tc',
      quoted: `it's "so"`,
      number: '010',
      word: 'yes',
      empty: '',
      controls: '\u0000\u001b\u007f\u0085\u009f',
      ends: 'a\u2028b\u2029c\ufeff',
      far: '🐘',
    };
    const input = yamlInput({ ...texts, half: 'a\ud800b' });
    expect(parse(input)).toEqual({ ...texts, half: 'a\ufffdb' });
    expect(input).not.toMatch(/[\u007f-\u009f\u2028\u2029\ufeff]/);
    expect(input).not.toContain('\\ud8');
  });

  it('survives a tool that does not read its input', async () => {
    const { tools } = await toolsThat({ 'relation-set': refusing('cannot write relation settings') });
    const large = { a: 'x'.repeat(1_000_000) };
    await expect(tools.writeBag(database, 'unit', large)).rejects.toMatchObject({ kind: 'notLeader' });
  });

  it('puts messages behind --, since they may begin with a dash', async () => {
    const { tools, read } = await toolsThat({ 'status-set': '', 'juju-log': '', 'action-fail': '' });
    await tools.setStatus('application', 'blocked', '-r is bad');
    await tools.log('WARNING', '--debug');
    await tools.actionFail('-');
    expect(await read('calls')).toBe(
      'status-set\n--application\nblocked\n--\n-r is bad\njuju-log\n-l\nWARNING\n--\n--debug\naction-fail\n--\n-\n',
    );
  });

  it('shortens a log that no process could take', async () => {
    const { tools, read } = await toolsThat({ 'juju-log': '' });
    await tools.log('INFO', 'ä'.repeat(100_000));
    const logged = await read('calls');
    expect(logged).toMatch(/ä \(shortened\)\n$/);
    expect(Buffer.byteLength(logged)).toBeLessThan(131_072);
  });

  it('does not let a log fail the hook', async () => {
    const { tools } = await toolsThat({ 'juju-log': refusing('connection refused') });
    await expect(tools.log('ERROR', 'this is what a log that Juju does not take looks like')).resolves.toBeUndefined();
  });

  it.each([
    ['a key', { ['k'.repeat(257)]: 'v' }, 'a key has 257 bytes, and Juju keeps at most 256'],
    ['a value', { memory: 'ä'.repeat(32_769) }, '"memory" has 65538 bytes, and Juju keeps at most 65536'],
  ])('refuses state that Juju would not keep: %s', async (_, state, words) => {
    const { tools } = await toolsThat({ 'state-set': 'cat >/dev/null' });
    await expect(tools.stateSet(state)).rejects.toMatchObject({ kind: 'tooLarge' });
    await expect(tools.stateSet(state)).rejects.toThrow(words);
  });
});

describe('secrets', () => {
  const filesOf =
    'for a in "$@"; do case $a in *#file=*) f=${a#*=}; stat -c "%a" "$f" "${f%/*}"; cat "$f"; echo; esac; done';

  it('go through files that only this account can read, and that are gone afterwards', async () => {
    const { tools, read } = await toolsThat({
      'secret-add': `(${filesOf}) >$HERE/files; echo secret:9m4e2mr0ui3e8a215n4g`,
    });
    const content = {
      username: new Secret('relation_id_7'),
      'tls-ca': new Secret(''),
      password: new Secret(`p'"\n w`),
    };
    expect(await tools.secretAdd({ owner: 'application', label: 'troupe', content })).toBe(
      'secret:9m4e2mr0ui3e8a215n4g',
    );
    expect(await read('files')).toBe(`600\n700\nrelation_id_7\n600\n700\n\n600\n700\np'"\n w\n`);
    const calls = await read('calls');
    expect(calls).toContain('secret-add\n--label\ntroupe\n--owner\napplication\nusername#file=');
    expect(calls).not.toContain('relation_id_7');
    const directory = /username#file=(.*)\/username/.exec(calls)?.[1] ?? '';
    expect(await readdir(join(directory, '..'))).not.toContain(directory.split('/').at(-1));
  });

  it('leave no file behind when Juju refuses', async () => {
    const { tools, read } = await toolsThat({ 'secret-set': refusing('permission denied') });
    const content = { password: new Secret('p') };
    await expect(tools.secretSet('secret:x', 'application', content)).rejects.toMatchObject({ kind: 'forbidden' });
    const path = /password#file=(.*)/.exec(await read('calls'))?.[1] ?? '';
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });

  it.each(['ca', 'auth_file', 'Password', '1st', 'a--b', 'ab-'])('refuse the key %s before Juju does', async (key) => {
    const { tools } = await toolsThat({ 'secret-set': '' });
    await expect(tools.secretSet('x', 'unit', { [key]: new Secret('v') })).rejects.toThrow(`with the key "${key}"`);
  });

  it('refuse to have no content', async () => {
    const { tools } = await toolsThat({ 'secret-set': '' });
    await expect(tools.secretSet('x', 'unit', {})).rejects.toThrow('without content');
  });

  it('are read by id, by label or by both, and are none when there are none', async () => {
    const { tools, read } = await toolsThat({
      'secret-get': `if [ "$2" = gone ]; then ${refusing('secret "gone" not found')}; fi; ${printing({ password: 'p' })}`,
    });
    expect((await tools.secretGet({ id: 'secret:x' }))?.['password']?.reveal()).toBe('p');
    await tools.secretGet({ label: 'troupe' }, 'refresh');
    await tools.secretGet({ id: 'secret:x', label: 'troupe' }, 'peek');
    expect(await tools.secretGet({ id: 'gone' })).toBeNull();
    expect(await read('calls')).toBe(
      [
        'secret-get --format=json secret:x',
        'secret-get --format=json --label troupe --refresh',
        'secret-get --format=json secret:x --label troupe --peek',
        'secret-get --format=json gone',
      ]
        .map((call) => `${call.replaceAll(' ', '\n')}\n`)
        .join(''),
    );
  });

  it('are forbidden while the grant is not there yet, which is not the same as none', async () => {
    const { tools } = await toolsThat({ 'secret-get': refusing('permission denied') });
    await expect(tools.secretGet({ id: 'secret:x' })).rejects.toMatchObject({ kind: 'forbidden' });
  });

  it('are read without the flags that an older Juju does not let an owner use', async () => {
    const { tools } = await toolsThat({
      'secret-get': `case "$*" in *--refresh*) ${refusing('secret owner cannot use --refresh')};; esac; ${printing({ password: 'p' })}`,
    });
    expect((await tools.secretGet({ label: 'troupe' }, 'refresh'))?.['password']?.reveal()).toBe('p');
    const strict = await toolsThat({
      'secret-get': `case "$*" in *secret:x*--label*) ${refusing('either URI or label should be used for getting an owned secret but not both')};; esac; ${printing({ password: 'p' })}`,
    });
    expect((await strict.tools.secretGet({ id: 'secret:x', label: 'troupe' }))?.['password']?.reveal()).toBe('p');
  });

  it('get no label from a follower of the application that owns them', async () => {
    const { tools } = await toolsThat({
      'secret-get': `case "$*" in *--label*) ${refusing('only unit leaders can update an application owned secret label')};; esac; ${printing({ password: 'p' })}`,
    });
    expect((await tools.secretGet({ id: 'secret:x', label: 'troupe' }, 'refresh'))?.['password']?.reveal()).toBe('p');
  });

  it('are told apart by their last part, however they are written', () => {
    const xid = '9m4e2mr0ui3e8a215n4g';
    for (const id of [xid, `secret:${xid}`, `secret://2c2f6bbd-8f7c-4b51-8d0c-2f3c2d6c0a10/${xid}`]) {
      expect(xidOf(id)).toBe(xid);
      expect(isSameSecret(id, xid)).toBe(true);
    }
    expect(isSameSecret(`secret:${xid}`, 'secret:9m4e2mr0ui3e8a215n5g')).toBe(false);
    expect(secretUri(xid)).toBe(`secret:${xid}`);
    expect(secretUri(`secret://m/${xid}`)).toBe(`secret://m/${xid}`);
  });

  it('that are gone already can be removed and revoked', async () => {
    const gone = refusing('secret "x" not found');
    const { tools } = await toolsThat({ 'secret-remove': gone, 'secret-revoke': gone, 'secret-info-get': gone });
    await tools.secretRemove('x');
    await tools.secretRevoke('x', database);
    expect(await tools.secretInfo({ label: 'troupe' })).toBeNull();
  });

  it('tell their owner about themselves', async () => {
    const { tools, read } = await toolsThat({
      'secret-info-get': printing({ abc: { revision: 3, label: 'troupe', owner: 'application', rotation: 'never' } }),
      'secret-remove': '',
    });
    expect(await tools.secretInfo({ label: 'troupe' })).toEqual({
      id: 'abc',
      revision: 3,
      label: 'troupe',
      owner: 'application',
    });
    await tools.secretRemove('secret:abc', 2);
    expect(await read('calls')).toContain('secret-remove\nsecret:abc\n--revision\n2\n');
  });
});
