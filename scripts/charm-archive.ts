/**
 * The archive that Juju deploys: what the charm says of itself, `dispatch`, the program, and Node for one architecture. It needs
 * nothing where it runs but a shell and glibc.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  createWriteStream,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { ZipFile } from 'yazl';
import { bundleCharmInto } from './bundle.ts';

/** As Juju names them. */
export const architectures = ['amd64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];
/** As Node does. */
const nodeNames: Readonly<Record<Architecture, string>> = { amd64: 'x64', arm64: 'arm64' };
export const ownArchitecture = (): Architecture | undefined =>
  architectures.find((architecture) => nodeNames[architecture] === process.arch);

export const charmFile = (architecture: Architecture): string => {
  const { name } = parse(readFileSync('deploy/charm/metadata.yaml', 'utf8'));
  const { bases } = parse(readFileSync('deploy/charm/manifest.yaml', 'utf8'));
  return `${name}_${bases[0].name}@${bases[0].channel}-${architecture}.charm`;
};

/** For those who pack with it; the archive does without. */
const forCharmcraft = 'charmcraft.yaml';

/** Makes the directory anew: what the archive holds, to be packed by us or by charmcraft. */
export const charmInto = async (directory: string, architecture: Architecture): Promise<void> => {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, 'bin'), { recursive: true });
  await bundleCharmInto(join(directory, 'lib'));
  for (const file of ['metadata.yaml', 'config.yaml', 'actions.yaml', 'dispatch'])
    copyFileSync(join('deploy/charm', file), join(directory, file));
  for (const file of ['manifest.yaml', forCharmcraft])
    writeFileSync(
      join(directory, file),
      readFileSync(join('deploy/charm', file), 'utf8').replaceAll('amd64', architecture),
    );
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  writeFileSync(join(directory, 'version'), `${version}\n`);
  copyFileSync('LICENSE', join(directory, 'LICENSE'));
  await withNode(architecture, (node) => {
    copyFileSync(join(node, 'bin/node'), join(directory, 'bin/node'));
    copyFileSync(join(node, 'LICENSE'), join(directory, 'bin/LICENSE'));
  });
  for (const file of ['dispatch', 'bin/node']) chmodSync(join(directory, file), 0o755);
  // An event that nobody knows: the program is loaded, and what V8 compiled for that is left in the archive.
  if (architecture === ownArchitecture()) {
    const env = { JUJU_DISPATCH_PATH: 'hooks/packed', JUJU_UNIT_NAME: 'packed/0' };
    await promisify(execFile)(resolve(directory, 'dispatch'), { env });
  }
};

/** Packs the files of a directory. Same files, same bytes; `fast`: they are only put together, not made smaller. */
export const archive = async (directory: string, file: string, { fast = false } = {}): Promise<void> => {
  const zip = new ZipFile();
  const written = pipeline(zip.outputStream, createWriteStream(file));
  for (const path of globSync('**', { cwd: directory }).toSorted()) {
    const [source, stat] = [join(directory, path), lstatSync(join(directory, path))];
    if (stat.isDirectory() || path === forCharmcraft) continue;
    if (!stat.isFile()) throw new Error(`cannot pack ${source}: Juju unpacks nothing but files`);
    const mode = stat.mode & 0o111 ? 0o100755 : 0o100644;
    zip.addFile(source, path, { mtime: packed, mode, compressionLevel: fast ? 0 : 9 });
  }
  zip.end();
  await written;
};

/** The beginning of time in archives. */
const packed = new Date(1980, 0, 1);

/** The package of Node for the architecture: the installed one, or, for another machine's, the one that the lockfile names. */
const withNode = async (architecture: Architecture, use: (directory: string) => void): Promise<void> => {
  const name = `node-linux-${nodeNames[architecture]}`;
  if (architecture === ownArchitecture()) return use(join('node_modules', name));
  const place = mkdtempSync(join(tmpdir(), 'troupe-node-'));
  try {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
    const { version, integrity } = packages[`node_modules/${name}`];
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', place, `${name}@${version}`]);
    const [found] = JSON.parse(stdout);
    if (found.integrity !== integrity)
      throw new Error(`${name} ${version} is not the one that package-lock.json names`);
    await run('tar', ['-xzf', join(place, found.filename), '-C', place]);
    use(join(place, 'package'));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
};

const run = async (program: string, args: readonly string[]): Promise<{ stdout: string }> =>
  await promisify(execFile)(program, args, { maxBuffer: 1 << 24 });
