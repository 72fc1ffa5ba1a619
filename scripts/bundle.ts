/**
 * What ships: `troupe.mjs`, beside it one bundle for each program that it may load, the files they read while they run
 * (`assets`), and the licences of the libraries they hold. Nothing of it needs anything else but Node.
 */
import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

export interface Bundle {
  readonly file: string;
  /** Names of the packages it holds code of. */
  readonly packages: readonly string[];
}

/** Makes the directory anew. */
export const bundleInto = async (directory: string): Promise<readonly Bundle[]> => {
  rmSync(directory, { recursive: true, force: true });
  const programs = new Set<string>();
  const executable = await bundle('src/main.ts', 'troupe', directory, {
    plugins: [programsLoadedLater(programs), asCommand],
  });
  chmodSync(join(directory, executable.file), 0o755);
  const bundles = [executable];
  for (const program of programs) bundles.push(await bundle(program, nameOf(program), directory));
  for (const file of globSync('src/infra/**/*', { withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile() && !path.endsWith('.ts')) copy(path, join(directory, 'assets', path.slice('src/infra/'.length)));
  }
  return withLicences(directory, bundles);
};

/**
 * The program of the charm and what starts it (`dispatch.cjs`), into a new directory. Of CommonJS, because V8 can be given what it
 * compiled of a program only for that.
 */
export const bundleCharmInto = async (directory: string): Promise<readonly Bundle[]> => {
  rmSync(directory, { recursive: true, force: true });
  const program = await bundle('src/charm.ts', 'program', directory, { format: 'cjs' });
  const text = inAscii(readFileSync(join(directory, program.file), 'utf8'));
  rmSync(join(directory, program.file));
  const name = `program-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
  writeFileSync(join(directory, `${name}.cjs`), text);
  const start = await bundle('src/start.ts', 'dispatch', directory, {
    format: 'cjs',
    define: { program: JSON.stringify(name) },
  });
  return withLicences(directory, [start, { ...program, file: `${name}.cjs` }]);
};

/** Of a program without comments: then it is read and kept in half the time and space. */
const inAscii = (program: string): string =>
  program.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

const withLicences = (directory: string, bundles: readonly Written[]): readonly Bundle[] => {
  const roots = new Map(bundles.flatMap(({ roots }) => [...roots]));
  writeFileSync(join(directory, 'licences.txt'), licencesOf(roots));
  return bundles.map(({ file, roots }) => ({ file, packages: [...roots.keys()].toSorted() }));
};

interface Written {
  readonly file: string;
  /** Where each package lies, by its name. */
  readonly roots: ReadonlyMap<string, string>;
}

interface Made {
  readonly plugins?: Plugin[];
  readonly format?: 'esm' | 'cjs';
  /** Names that become these texts. */
  readonly define?: Record<string, string>;
}
const bundle = async (input: string, name: string, directory: string, made: Made = {}): Promise<Written> => {
  const { plugins = [], format = 'esm', define = {} } = made;
  const file = `${name}.${format === 'esm' ? 'mjs' : 'cjs'}`;
  await using build = await rolldown({
    input,
    platform: 'node',
    plugins: [manifestOfVersion, ...plugins],
    transform: { define },
    external: ['pg-native'], // Which pg asks for only when told to.
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`cannot bundle ${input}: ${log.message}`);
    },
  });
  const { output } = await build.write({
    dir: directory,
    entryFileNames: file,
    format,
    codeSplitting: false,
    strict: true,
    ...(format === 'cjs' ? { comments: false, dynamicImportInCjs: false } : {}),
  });
  const modules = output.flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
  return { file, roots: new Map(modules.flatMap(packageOf)) };
};

/** What the program that is started imports only when it is needed becomes a bundle of its own. */
const programsLoadedLater = (found: Set<string>): Plugin => ({
  name: 'programs-loaded-later',
  resolveId: (source, importer, { kind }) => {
    if (kind !== 'dynamic-import' || importer === undefined) return null;
    const program = resolve(dirname(importer), source);
    found.add(program);
    return { id: `./${nameOf(program)}.mjs`, external: true };
  },
});

const asCommand: Plugin = { name: 'as-command', banner: '#!/usr/bin/env node' };

/** All that a program wants to know of the manifest. */
const manifestOfVersion: Plugin = {
  name: 'manifest-of-version',
  load: (id) => {
    if (id !== resolve('package.json')) return null;
    const { version } = JSON.parse(readFileSync(id, 'utf8'));
    return JSON.stringify({ version });
  },
};

const nameOf = (source: string): string => basename(source, '.ts');

const packageOf = (module: string): readonly (readonly [name: string, root: string])[] => {
  const [, root, name] = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(module) ?? [];
  return root === undefined || name === undefined ? [] : [[name, root]];
};

const licencesOf = (roots: ReadonlyMap<string, string>): string =>
  [...roots]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, root]) => {
      const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
      const texts = globSync('{licen[cs]e,LICEN[CS]E,License,NOTICE}*', { cwd: root }).toSorted();
      return [`${name} ${version} (${license})`, ...texts.map((file) => readFileSync(join(root, file), 'utf8'))];
    })
    .map((words) => words.map((word) => word.trim()).join('\n\n'))
    .join(`\n\n${'-'.repeat(80)}\n\n`)
    .concat('\n');

const copy = (from: string, to: string): void => {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
};
