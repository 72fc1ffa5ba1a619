/** Opens and closes what `servers.ts` offers to the tests of one project; named in vitest's `globalSetup`. */
import { appendFileSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleInto } from '../../scripts/bundle.ts';
import { isAlive, markOf } from '../../src/infra/files/process-mark.ts';
import { createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { Broker } from './broker.ts';
import { ownedBy } from './container-owner.ts';
import { engineServers, removeForsakenContainers } from './engine.ts';
import { endProcessesOf, removeLeaks } from './leaks.ts';
import { localServers } from './local-servers.ts';
import { packedCharmIn } from './packed-charm.ts';
import { pgbouncerIn, pgbouncersOf } from './pgbouncer-binaries.ts';

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  await Promise.all([removeForsakenDirectories(), removeForsakenContainers()]);
  const account = await serviceAccount();
  const root = await createScratch(prefix, account);
  const owner = markOf(process.pid);
  if (owner === null) throw new Error('cannot see this process in /proc: the tests need Linux');
  await writeFile(join(root, ownerFile), JSON.stringify(owner));
  const { ground } = project.getProvidedContext();
  const path = process.env['PATH'] ?? '';
  const labels = ownedBy(owner, root);
  const offers = [localServers(account, path), await engineServers(labels)];
  const providers = offers.flatMap((offer) => offer.providers);
  const record = recorderFor(process.env['TROUPE_TEST_PROVIDERS']);
  for (const sentence of offers.flatMap((offer) => offer.lacks)) record(sentence);
  const missing = [ground.redis, ground.postgres].filter((name) => providers.every((one) => one.name !== name));
  if (ground.units !== 'processes' && missing.length > 0)
    throw new Error(`tests of ${project.name} need a Docker engine and here is no ${missing.join(', no ')}`);

  let program: Promise<string> | undefined;
  let charm: Promise<string> | undefined;
  const broker = await Broker.open({
    root,
    account,
    providers,
    pgbouncers: async () => {
      const found = ground.units === 'processes' ? await pgbouncersOf(path) : [await pgbouncerIn(ground.units)];
      for (const { version, run, reason } of found) record(run === null ? (reason ?? '') : `PgBouncer ${version}`);
      return found;
    },
    program: () => {
      program ??= programIn(join(root, 'program'));
      return program;
    },
    charm: () => {
      charm ??= packedCharmIn(join(root, 'charm'));
      return charm;
    },
    onStarted: record,
  });
  const namesOf = (kind: string) => providers.filter((provider) => provider.kind === kind).map(({ name }) => name);
  project.provide('testServers', {
    socket: broker.socket,
    root,
    account,
    owner,
    redis: namesOf('redis'),
    postgres: namesOf('postgres'),
  });
  return async () => {
    await broker.close();
    const leaked = await removeLeaks(root);
    await rm(root, { recursive: true, force: true });
    if (leaked.length > 0) throw new Error(`tests of ${project.name} left behind:\n${leaked.join('\n')}`);
  };
};

const programIn = async (directory: string): Promise<string> => {
  await bundleInto(directory);
  return join(directory, 'troupe.mjs');
};

const prefix = 'troupe-test-';
const ownerFile = 'owner.json';

/** Each line once: printed, and kept for the summary of a run where a file is named. */
const recorderFor = (file: string | undefined): ((line: string) => void) => {
  const seen = new Set<string>();
  return (line) => {
    if (seen.has(line)) return;
    seen.add(line);
    console.log(`servers: ${line}`);
    if (file !== undefined) appendFileSync(file, `${line}\n`);
  };
};

/** What a run that was killed left behind: its directories tell it from one that is under way. */
const removeForsakenDirectories = async (): Promise<void> => {
  const names = (await readdir('/tmp')).filter((name) => name.startsWith(prefix));
  for (const root of names.map((name) => join('/tmp', name))) {
    const owner = await readFile(join(root, ownerFile), 'utf8').catch(() => undefined);
    if (owner === undefined || isAlive(JSON.parse(owner))) continue;
    await endProcessesOf(root);
    await rm(root, { recursive: true, force: true });
  }
};
