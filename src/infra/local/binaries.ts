import { accessSync, constants, globSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';

/** A program that this machine lacks; the message says what to install. */
export class MissingBinary extends Error {
  override readonly name = 'MissingBinary';
}

export type Program = keyof typeof programs;

/** Absolute path of a program. `path` is the search path of the caller's environment. */
export const findBinary = (program: Program, path: string): string => {
  const { names, packages } = programs[program];
  const found = candidates(names, path).find(isExecutable);
  if (found !== undefined) return found;
  throw new MissingBinary(
    `cannot find ${names.join(' or ')} in the search path or where Debian puts it: install it, on Debian and Ubuntu with "apt-get install ${packages}"`,
  );
};

/** One sentence for each of these programs that is missing. */
export const missingBinaries = (wanted: readonly Program[], path: string): readonly string[] =>
  wanted.flatMap((program) => {
    try {
      findBinary(program, path);
      return [];
    } catch (cause) {
      if (cause instanceof MissingBinary) return [cause.message];
      throw cause;
    }
  });

const programs = {
  redis: { names: ['redis-server', 'valkey-server'], packages: 'redis-server' },
  initdb: { names: ['initdb'], packages: 'postgresql' },
  postgres: { names: ['postgres'], packages: 'postgresql' },
  psql: { names: ['psql'], packages: 'postgresql-client' },
  pgbench: { names: ['pgbench'], packages: 'postgresql' },
  pgbouncer: { names: ['pgbouncer'], packages: 'pgbouncer' },
} as const;

/** Debian keeps servers out of the search path of ordinary users, and PostgreSQL in a directory for each version. */
const candidates = (names: readonly string[], path: string): readonly string[] => {
  const searched = [...path.split(delimiter).filter((directory) => directory !== ''), '/usr/sbin', '/usr/local/sbin'];
  return names.flatMap((name) => [...newestPostgres(name), ...searched.map((directory) => join(directory, name))]);
};

const newestPostgres = (name: string): readonly string[] =>
  globSync(`/usr/lib/postgresql/*/bin/${name}`).toSorted((a, b) => majorOf(b) - majorOf(a));

const majorOf = (file: string): number => Number.parseInt(basename(dirname(dirname(file))), 10) || 0;

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
