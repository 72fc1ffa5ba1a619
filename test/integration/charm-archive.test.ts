import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { archive, architectures, charmFile, charmInto, ownArchitecture } from '../../scripts/charm-archive.ts';
import { charmIn } from '../support/juju/charm.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import { unpack } from '../support/packed-charm.ts';

let place = '';
const packed = () => join(place, 'packed.charm');
const architecture = ownArchitecture();

beforeAll(async () => {
  if (architecture === undefined) throw new Error(`there is no charm for ${process.arch}: ${architectures.join(', ')}`);
  place = await mkdtemp(join(tmpdir(), 'troupe-charm-'));
  await chmod(place, 0o755); // An ordinary user looks into it.
  await charmInto(join(place, 'made'), architecture);
  await archive(join(place, 'made'), packed(), { fast: true });
});
afterAll(() => rm(place, { recursive: true, force: true }));

const regular = 0o100_000;

/** As Juju unpacks it, into an empty directory. */
const unpackInto = (directory: string) => unpack(packed(), directory);

const unpacked = async (name: string): Promise<string> => {
  const directory = join(place, name);
  await unpackInto(directory);
  return directory;
};
const programsIn = async (directory: string): Promise<readonly string[]> => await readdir(join(directory, 'lib'));
const cachesIn = async (directory: string): Promise<readonly string[]> =>
  (await programsIn(directory)).filter((name) => name.endsWith('.cache')).toSorted();

describe('the archive', () => {
  it('holds files alone, and what Juju needs; only what is to be executed may be', async () => {
    const entries = await unpackInto(join(place, 'looked-at'));
    expect(entries.filter(({ mode }) => (mode & 0o170_000) !== regular)).toEqual([]);
    const executable = entries.filter(({ mode }) => (mode & 0o111) !== 0).map(({ path }) => path);
    expect(executable.toSorted()).toEqual(['bin/node', 'dispatch']);
    const paths = entries.map(({ path }) => path).filter((path) => !path.startsWith('lib/program-'));
    expect(paths.toSorted()).toEqual(
      [
        'LICENSE',
        'actions.yaml',
        'bin/LICENSE',
        'bin/node',
        'config.yaml',
        'dispatch',
        'lib/dispatch.cjs',
        'lib/licences.txt',
        'manifest.yaml',
        'metadata.yaml',
        'version',
      ].toSorted(),
    );
  });

  it('is the same for the same files', async () => {
    const again = join(place, 'again.charm');
    await archive(join(place, 'made'), again, { fast: true });
    expect((await readFile(again)).equals(await readFile(packed()))).toBe(true);
  });

  it('says the architecture of its Node, as charmcraft is told', async () => {
    const read = async (file: string) => parse(await readFile(join(place, 'made', file), 'utf8'));
    const { bases } = await read('manifest.yaml');
    expect(bases).toEqual([{ name: 'ubuntu', channel: '22.04', architectures: [architecture] }]);
    const { platforms, parts, type } = await read('charmcraft.yaml');
    expect([type, Object.keys(platforms)]).toEqual(['charm', [`ubuntu@22.04:${architecture}`]]);
    for (const path of parts.charm.prime) await stat(join(place, 'made', path));
    expect(charmFile('arm64')).toBe('pgbouncer-k8s_ubuntu@22.04-arm64.charm');
  });

  it('carries no library that a dispatch does not need', async () => {
    const licences = await readFile(join(place, 'made', 'lib', 'licences.txt'), 'utf8');
    const packages = [...licences.matchAll(/^(\S+) \d+\.\d+\.\d+\S* \(\S+\)$/gm)].map(([, name]) => name);
    expect(packages).toEqual(expect.arrayContaining(['nact', 'pg', 'zod']));
    expect(packages).not.toEqual(expect.arrayContaining(['fastify']));
    expect(packages).not.toEqual(expect.arrayContaining(['ioredis']));
  });
});

describe('what is unpacked from it', () => {
  /** One unit through its first hooks, and one more, with the environment that Juju sets and where its Pebble would be. */
  const runsWell = async (directory: string, account: { readonly uid: number; readonly gid: number } | null) => {
    await using juju = await JujuModel.open({ seed: 3, account, limitMs: 60_000 });
    const elsewhere = { TROUPE_PEBBLE: join(place, 'no-pebble.socket') };
    juju.deploy('pgbouncer', charmIn(directory), { units: 1, environment: () => elsewhere });
    await juju.settle();
    juju.updateStatus('pgbouncer/0');
    await juju.settle();
    const { history } = juju;
    const hooks = ['install', 'leader-elected', 'start', 'update-status'];
    expect(history.map(({ hook }) => hook)).toEqual(expect.arrayContaining(hooks));
    expect(history.filter(({ succeeded, stderr }) => !succeeded || stderr !== '')).toEqual([]);
    const [peers = -1] = juju.relationsOf('pgbouncer', 'pgb-peers');
    expect(juju.bag(peers, 'pgbouncer/0')['troupe-unit']).toContain('no-pebble.socket');
  };

  it('runs from a directory that holds nothing else, and leaves there what most hooks will use', async () => {
    const directory = await unpacked('by-tester');
    const [loaded = ''] = await cachesIn(directory);
    await runsWell(directory, null);
    expect(await cachesIn(directory)).toEqual([loaded.replace('.cache', '-used.cache'), loaded]);
  });

  it.skipIf(process.getuid?.() !== 0)('runs as an ordinary user, who may write nothing there', async () => {
    const directory = await unpacked('by-ordinary-user');
    const before = await cachesIn(directory);
    await runsWell(directory, { uid: 65_534, gid: 65_534 });
    expect(await cachesIn(directory)).toEqual(before);
  });

  it('says in a sentence that it is no program for people', async () => {
    const directory = await unpacked('by-hand');
    const run = promisify(execFile)(join(directory, 'dispatch'), { env: {} });
    await expect(run).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^this program is started by Juju/),
    });
  });
});

describe('what was compiled', () => {
  const dispatch = async (directory: string, hook: string): Promise<void> => {
    const env = { JUJU_DISPATCH_PATH: `hooks/${hook}`, JUJU_UNIT_NAME: 'pgbouncer/0', JUJU_CHARM_DIR: directory };
    await promisify(execFile)(join(directory, 'dispatch'), { env });
  };

  it('comes with the program, for its own release alone, and is left alone while it is of use', async () => {
    const directory = await unpacked('compiled');
    const [cache = '', ...others] = await cachesIn(directory);
    expect(others).toEqual([]);
    expect(await programsIn(directory)).toContain(cache.replace(/\.cache$/, '.cjs'));
    const { mtimeMs } = await stat(join(directory, 'lib', cache));
    await dispatch(directory, 'somebody-elses');
    expect((await stat(join(directory, 'lib', cache))).mtimeMs).toBe(mtimeMs);
  });

  it.each([
    ['is missing', (path: string) => rm(path)],
    ['is of no use', (path: string) => writeFile(path, 'nothing that V8 has made')],
    ['is empty', (path: string) => writeFile(path, '')],
  ])('is left anew where it %s', async (name, spoil) => {
    const directory = await unpacked(name.replaceAll(' ', '-'));
    const [cache = ''] = await cachesIn(directory);
    await spoil(join(directory, 'lib', cache));
    await dispatch(directory, 'somebody-elses');
    expect((await stat(join(directory, 'lib', cache))).size).toBeGreaterThan(100_000);
    expect(await cachesIn(directory)).toEqual([cache]);
  });
});
