/** Builds the images that the end-to-end tests run, and fails a run that leaves a container, a network or a volume behind. */
import { appendFileSync, rmSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { isAlive, markOf, type ProcessMark } from '../../src/infra/files/process-mark.ts';
import { docker } from './docker.ts';
import { ownedThings, removeThings } from './e2e-things.ts';
import { buildHaproxyImage, buildUnitImage } from './images.ts';
import { keptWords } from './kept-words.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly e2e: {
      /** Whose all that a test starts is: the process that looks whether anything was left. */
      readonly owner: ProcessMark;
      readonly images: Images;
    };
  }
}

/** Names of what was built: a unit with the PgBouncer of Debian 13, its next release, one with the PgBouncer of Debian's testing branch, HAProxy. */
export interface Images {
  readonly trixie: string;
  readonly next: string;
  readonly forky: string;
  readonly haproxy: string;
}

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  await findEngine();
  rmSync(keptWords, { recursive: true, force: true });
  await removeThings(await ownedThings((owner) => !isAlive(owner)));
  const images: Images = {
    trixie: await buildUnitImage('trixie'),
    next: await buildUnitImage('next'),
    forky: await buildUnitImage('forky'),
    haproxy: await buildHaproxyImage(),
  };
  for (const name of Object.values(images)) say(`image ${name}`);
  const owner = markOf(process.pid);
  if (owner === null) throw new Error('cannot see this process in /proc: the end-to-end tests need Linux');
  project.provide('e2e', { owner, images });
  return async () => {
    const left = await ownedThings(({ pid }) => pid === process.pid);
    await removeThings(left);
    if (left.length > 0) throw new Error(`end-to-end tests left behind: ${left.map(({ name }) => name).join(', ')}`);
  };
};

const findEngine = async (): Promise<void> => {
  try {
    const engine = await docker(['version', '--format', '{{.Server.Version}}']);
    const compose = await docker(['compose', 'version', '--short']);
    say(`Docker ${engine.trim()} with compose ${compose.trim()}`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MissingEngine(why, { cause });
  }
};

class MissingEngine extends Error {
  override readonly name = 'MissingEngine';
  constructor(why: string, options: ErrorOptions) {
    super(`the end-to-end tests need a Docker engine with compose, and none answers here: ${why}`, options);
  }
}

const say = (line: string): void => {
  console.log(`servers: ${line}`);
  const file = process.env['TROUPE_TEST_PROVIDERS'];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
};
