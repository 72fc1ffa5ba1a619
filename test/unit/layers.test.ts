import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { computed, importsOf, withoutComments } from '../support/imports.ts';

/** What each layer may import besides itself: a folder or file of `src`, a package, or `node:` for all of Node. */
const layers: readonly { readonly at: string; readonly may: readonly string[] }[] = [
  { at: 'actors/model', may: [] },
  { at: 'pgbouncer', may: ['actors/model', 'ini', 'node:crypto'] },
  { at: 'actors/ports', may: ['actors/model'] },
  { at: 'actors/protocol.ts', may: ['actors/model'] },
  { at: 'actors/kit', may: ['nact', 'actors/protocol.ts', 'actors/model', 'actors/ports/clock.ts'] },
  { at: 'actors/relation/*', may: ['actors/model', 'actors/ports', 'actors/kit', 'actors/protocol.ts', 'pgbouncer'] },
  { at: 'actors/*', may: ['actors/model', 'actors/ports', 'actors/kit', 'actors/protocol.ts', 'pgbouncer'] },
  { at: 'api', may: ['actors/model', 'zod'] },
  {
    at: 'infra/*',
    may: [
      'actors/model',
      'actors/ports',
      'pgbouncer',
      'api',
      'infra/console',
      'infra/files',
      'infra/fleet-file',
      'infra/instances',
      'node:',
      'zod',
    ],
  },
  { at: 'settings.ts', may: ['actors/model', 'zod'] },
  { at: 'version.ts', may: ['../package.json'] },
  {
    at: 'programs/*',
    may: ['actors', 'pgbouncer', 'api', 'infra', 'settings.ts', 'version.ts', 'node:', 'pino', 'zod'],
  },
  { at: 'main.ts', may: ['programs', 'settings.ts', 'version.ts', 'node:'] },
  { at: 'charm.ts', may: ['programs', 'infra', 'schemas-read-once.ts', 'node:'] },
  { at: 'schemas-read-once.ts', may: ['zod'] },
  { at: 'start.ts', may: ['charm.ts', 'programs', 'node:'] },
];

/** The library that an adapter is there to speak to. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  'infra/redis': ['ioredis'],
  'infra/postgres': ['pg'],
  'infra/console': ['pg'],
  'infra/local': ['ioredis', 'pg'],
  'infra/fleet-file': ['yaml'],
  'infra/http': ['fastify'],
  'infra/juju': ['@peculiar/asn1-csr', '@peculiar/asn1-schema', '@peculiar/asn1-x509'],
  'infra/pebble': ['ws'],
};

/** Only `main.ts` and `charm.ts` start these; what they share lies beside them. */
const programs = ['unit', 'dispatch', 'cli', 'ready', 'demo'];

describe('the layers', () => {
  it('import only what the table allows', () => {
    const files = globSync('src/**/*.ts');
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap((file) => refusals(file, readFileSync(file, 'utf8')))).toEqual([]);
  });

  it.each([
    ['a model that imports a port', 'src/actors/model/x.ts', `import type { Clock } from '../ports/clock.ts';`],
    ['a model that imports Node', 'src/actors/model/x.ts', `import { inspect } from 'node:util';`],
    ['an actor that imports another', 'src/actors/leader/x.ts', `import { decide } from '../config/decide.ts';`],
    ['a relation actor that imports another', 'src/actors/relation/peers/x.ts', `import '../client/decide.ts';`],
    ['an actor that imports an adapter', 'src/actors/leader/x.ts', `await import('../../infra/redis/lease.ts');`],
    ['an actor that imports Node', 'src/actors/leader/x.ts', `import { randomUUID } from 'node:crypto';`],
    ['nact outside the kit', 'src/programs/unit.ts', `import nact from 'nact';`],
    ['a kit that imports an actor', 'src/actors/kit/x.ts', `export * from '../leader/decide.ts';`],
    ['an adapter that imports another', 'src/infra/redis/x.ts', `import type { Row } from '../postgres/session.ts';`],
    [
      'an adapter that imports an actor',
      'src/infra/redis/x.ts',
      `export { decide } from '../../actors/leader/decide.ts';`,
    ],
    [
      'an adapter that imports the kit',
      'src/infra/http/x.ts',
      `type B = import('../../actors/kit/behaviour.ts').Name;`,
    ],
    ['a library of another adapter', 'src/infra/postgres/x.ts', `import {\n  Redis,\n} from 'ioredis';`],
    ['an API that imports an adapter', 'src/api/x.ts', `import { z } from 'zod'; import '../infra/http/server.ts';`],
    ['PgBouncer knowledge with files', 'src/pgbouncer/x.ts', `import { readFile } from 'node:fs/promises';`],
    ['a program that imports another', 'src/programs/demo.ts', `import { runUnit } from './unit.ts';`],
    ['a program started by something else', 'src/programs/cast.ts', `export { runUnit } from './unit/run.ts';`],
    ['a computed module', 'src/programs/unit.ts', `const load = (name: string) => import(name);`],
    ['require', 'src/infra/files/x.ts', `const { Client } = require('pg');`],
    ['a file in no layer', 'src/misc/x.ts', ''],
  ])('refuse %s', (_, file, source) => {
    expect(refusals(file, source)).toHaveLength(1);
  });

  it('do not mind what comments and texts say', () => {
    const source = `// import 'nact';\n/* from 'nact' */\nconst text = "import x from 'y'"; // import('nact')`;
    expect(refusals('src/actors/model/x.ts', source)).toEqual([]);
  });
});

describe('the sources', () => {
  const filesWith = (pattern: RegExp, except: readonly string[] = []) =>
    globSync('src/**/*.ts').filter((file) => !except.includes(file) && pattern.test(codeOf(file)));

  it('read the environment and the arguments where a program begins', () => {
    const beginnings = ['src/main.ts', 'src/charm.ts', 'src/start.ts'];
    expect(filesWith(environment, [...beginnings, 'src/infra/juju/environment.ts'])).toEqual([]);
    expect([`process.env['A']`, `process\n  .argv`, `const { env: e } = process;`, `from 'node:process'`]).toSatisfy(
      (planted: readonly string[]) => planted.every((code) => environment.test(code)),
    );
  });

  it('export by name', () => {
    expect(filesWith(defaultExport)).toEqual([]);
    expect(['export default x;', 'export { x as default };']).toSatisfy((planted: readonly string[]) =>
      planted.every((code) => defaultExport.test(code)),
    );
  });

  it('have names that say what is in them', () => {
    const files = globSync('{src,scripts,test}/**/*.ts');
    expect(files.filter((file) => !wellNamed(file))).toEqual([]);
    expect(
      ['src/utils/x.ts', 'src/api/types.ts', 'src/api/index.ts', 'src/api/fleetSpec.ts'].filter(wellNamed),
    ).toEqual([]);
  });
});

const environment =
  /\bprocess\s*(?:\.\s*|\[\s*['"`])(?:env|argv)\b|\{[^{}]*\b(?:env|argv)\b[^{}]*\}\s*=\s*process\b|['"]node:process['"]/;
const defaultExport = /\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/;
const vague = /(?:^|\/)(?:utils?|helpers?|common|shared|misc|types|interfaces|index)(?:\/|\.ts$)/;

const wellNamed = (file: string): boolean =>
  !vague.test(file) && /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)*\.ts$/.test(basename(file));

const codeOf = (file: string): string => withoutComments(readFileSync(file, 'utf8'));

const refusals = (file: string, source: string): readonly string[] => {
  const path = file.replace(/^src\//, '');
  const layer = layers.find(({ at }) => rootOf(path, at) !== undefined);
  if (layer === undefined) return [`${file} is in no layer`];
  const own = rootOf(path, layer.at) ?? '';
  const allowed = [...layer.may, ...(libraries[own] ?? []), ...(own.startsWith('programs/') ? [] : [own])];
  return importsOf(source)
    .map((specifier) => (specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : specifier))
    .filter((target) => !(allowed.some((entry) => covers(entry, target)) || isPartOfProgram(path, target)))
    .map((target) => `${file} imports ${target}`);
};

/** The part of a path that a pattern names, `*` being one file or folder. */
const rootOf = (path: string, at: string): string | undefined => {
  const depth = at.split('/').length;
  const root = path.split('/').slice(0, depth);
  return root.length === depth && at.split('/').every((name, i) => name === '*' || name === root[i])
    ? root.join('/')
    : undefined;
};

const covers = (entry: string, target: string): boolean =>
  entry.endsWith(':') ? target.startsWith(entry) : target === entry || target.startsWith(`${entry}/`);

const isPartOfProgram = (path: string, target: string): boolean => {
  if (!path.startsWith('programs/') || !target.startsWith('programs/') || target === computed) return false;
  const [from, to] = [path, target].map((one) => basename(one.split('/')[1] ?? '', '.ts'));
  return from === to || !programs.includes(to ?? '');
};
