import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { ownedByUs } from './container-owner.ts';
import { docker } from './docker.ts';
import { downloads } from './downloads.ts';
import { buildUnitImage, type UnitImage } from './images.ts';

/** A PgBouncer of this machine; `run` is null where `reason` says why it is not to be had. */
export interface PgBouncerBinary {
  readonly version: string;
  readonly run: string | null;
  readonly reason: string | null;
}

/**
 * The machine's own PgBouncer, and those of Debian 13 and of its testing branch. The latter are taken out of a container
 * once, with the libraries and the loader they were built for, and kept outside the checkout: in /var/cache/troupe-test,
 * for others than root in a directory of theirs beside the temporary files. Remove that directory to take them anew.
 */
export const pgbouncersOf = (path: string): Promise<readonly PgBouncerBinary[]> => {
  found ??= Promise.all([
    binaryOf('the machine', async () => findBinary('pgbouncer', path)),
    binaryOf('1.24', () => kept('1.24', 'debian:trixie-slim')),
    binaryOf('1.26', () => kept('1.26', 'debian:forky-slim')),
  ]);
  return found;
};

/** Of the image: what runs in its containers. `run` is the name of the image. */
export const pgbouncerIn = async (suite: UnitImage): Promise<PgBouncerBinary> => {
  const image = await buildUnitImage(suite);
  const said = await docker(['run', '--rm', '--network', 'none', '--entrypoint', 'pgbouncer', image, '-V']);
  return { version: versionIn(said) ?? suite, run: image, reason: null };
};

let found: Promise<readonly PgBouncerBinary[]> | undefined;

const binaryOf = async (wanted: string, find: () => Promise<string>): Promise<PgBouncerBinary> => {
  try {
    const run = await find();
    const { stdout } = await promisify(execFile)(run, ['-V']);
    return { version: versionIn(stdout) ?? wanted, run, reason: null };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return { version: wanted, run: null, reason: `there is no PgBouncer of ${wanted} here: ${why}` };
  }
};

const versionIn = (said: string): string | undefined => /^PgBouncer (\S+)/.exec(said)?.[1];

const kept = async (version: string, image: string): Promise<string> => {
  const directory = join(downloads, `pgbouncer-${version}`);
  const program = join(directory, 'pgbouncer');
  if (!existsSync(program)) await takeOut(image, directory);
  return program;
};

/** The program finds its loader and libraries by absolute paths, so it is an ordinary one: its own name, its own /proc/<pid>/exe. */
const takeOut = async (image: string, directory: string): Promise<void> => {
  const { GenericContainer } = await import('testcontainers');
  const unfinished = `${directory}.${process.pid}`;
  await mkdir(unfinished, { recursive: true, mode: 0o755 });
  const container = await new GenericContainer(image)
    .withCommand(['sleep', '600'])
    .withLabels(ownedByUs())
    .withAutoCleanup(false)
    .start();
  try {
    const { exitCode, output } = await container.exec(['sh', '-ec', recipe(directory)]);
    if (exitCode !== 0) throw new Error(`cannot install pgbouncer in ${image}: ${output.trim().split('\n').at(-1)}`);
    await unpack(await container.copyArchiveFromContainer('/bundle'), unfinished);
    await keep(unfinished, directory);
  } finally {
    await container.stop({ timeout: 0 });
    await rm(unfinished, { recursive: true, force: true });
  }
};

const recipe = (directory: string): string => `
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Check-Valid-Until=false update -qq
apt-get install -y -qq --no-install-recommends pgbouncer patchelf
mkdir -p /bundle/lib
cp /usr/sbin/pgbouncer /bundle/pgbouncer
ldd /bundle/pgbouncer | awk '$2 == "=>" { print $3 }' | xargs -I{} cp -L {} /bundle/lib/
cp -L "$(ldd /bundle/pgbouncer | awk '$1 ~ /ld-linux/ { print $1 }')" /bundle/lib/loader.so
patchelf --set-interpreter ${directory}/lib/loader.so --force-rpath --set-rpath ${directory}/lib /bundle/pgbouncer
`;

const unpack = async (archive: NodeJS.ReadableStream, directory: string): Promise<void> => {
  const tar = spawn('tar', ['-x', '-C', directory, '--strip-components=1'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(tar, 'exit');
  await pipeline(archive, tar.stdin);
  const [code] = await ended;
  if (code !== 0) throw new Error(`cannot unpack a PgBouncer into ${directory}: tar ended with code ${code}`);
};

/** Another run may have been quicker; what it kept is the same. */
const keep = async (unfinished: string, directory: string): Promise<void> => {
  try {
    await rename(unfinished, directory);
  } catch (cause) {
    if (!existsSync(join(directory, 'pgbouncer'))) throw cause;
  }
};
