/** The images of this project, as tests run them: built from the checkout, by layers of earlier builds where nothing changed. */
import { docker } from './docker.ts';

/** A unit with the PgBouncer of Debian 13, the same as another build, and one with that of Debian's testing branch. */
export type UnitImage = 'trixie' | 'next' | 'forky';

export const buildUnitImage = (which: UnitImage): Promise<string> => {
  const unit = ['-f', 'deploy/Dockerfile'];
  switch (which) {
    case 'trixie':
      return build('troupe-e2e', '.', unit);
    case 'next':
      return build('troupe-e2e:next', '.', [...unit, '--build-arg', 'REVISION=next']);
    case 'forky':
      return build('troupe-e2e:forky', '.', [...unit, '--build-arg', 'SUITE=forky', ...oldLists]);
  }
};

export const buildHaproxyImage = (): Promise<string> => build('troupe-e2e-haproxy', 'deploy/haproxy', []);

/** Where the lists of packages are a copy whose date has passed, nothing newer is to be had. */
const oldLists = ['--build-arg', 'APT_OPTIONS=-o Acquire::Check-Valid-Until=false'];

/** Resolves to its name. */
const build = async (name: string, context: string, args: readonly string[]): Promise<string> => {
  await docker(['build', '-q', '-t', name, ...args, context]);
  return name;
};
