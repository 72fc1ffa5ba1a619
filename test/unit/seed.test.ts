import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Fleet } from '../../src/actors/ports/fleet.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { BadFleetFile, loadSeed, plant } from '../../src/programs/seed.ts';
import { application } from '../support/builders.ts';
import { MemoryFleet } from '../support/memory-fleet.ts';

const file = `
backends: { main: { endpoints: ["db1:5432"], username: postgres, password-file: pg.password } }
clients: { orders: { database: orders } }
`;
const written = async (text: string): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-seed-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, 'pg.password'), 's3cret\n');
  await writeFile(join(directory, 'fleet.yaml'), text);
  return join(directory, 'fleet.yaml');
};

/** What is logged by a unit that begins with this file. */
const planted = async (fleet: Fleet, path: string, author: string): Promise<readonly string[]> => {
  const lines: string[] = [];
  const say = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log = { debug: say, info: say, warn: say, error: say };
  const seed = await loadSeed(path, application);
  const { signal } = new AbortController();
  await plant(fleet, { file: path, seed, author, clock: createSystemClock(), log, signal });
  return lines;
};

describe('a fleet file that a unit is started with', () => {
  it('is what an application begins with, once, of however many units ask for it', async () => {
    const fleet = new MemoryFleet();
    const path = await written(file);
    const lines = await Promise.all(
      [0, 1, 2].map((number) => planted(fleet.seenFrom(number), path, `pgbouncer/${number}`)),
    );
    expect(fleet.intent).toMatchObject({ version: 1, clients: { orders: {} }, reason: expect.stringContaining(path) });
    const said = lines.flat().toSorted();
    expect(said).toHaveLength(3);
    expect(said.filter((line) => line.startsWith('the application begins with the fleet file'))).toHaveLength(1);
    expect(said.join()).not.toContain('s3cret');
  });

  it('is not used when somebody has asked for something already', async () => {
    const fleet = new MemoryFleet();
    await fleet.changeBehind({ type: 'setOptions', options: { pool_mode: 'transaction' } }, 'alice');
    const [line] = await planted(fleet.seenFrom(0), await written(file), 'pgbouncer/0');
    expect(line).toMatch(/^the application has an intent already: the fleet file is not used .*"by":"alice"/);
    expect(fleet.intent).toMatchObject({ version: 1, clients: {} });
  });

  it('is asked for again until somebody knows what became of it', async () => {
    const fleet = new MemoryFleet();
    fleet.failNextChange('the backplane does not answer');
    const lines = await planted(fleet.seenFrom(0), await written(file), 'pgbouncer/0');
    expect(lines).toEqual([expect.stringMatching(/^the application begins with the fleet file/)]);
    expect(fleet.intent?.version).toBe(1);
  });

  it.each([
    ['client: {}', /fleet\.yaml:1: client: .*did you mean clients/],
    [file.replace('database: orders', 'database: postgres'), /fleet\.yaml:3: clients\.orders\.database: .*reserved/],
    [`application: other\n${file}`, /meant for application "other"/],
    ['clients: { orders: { database: orders } }', /there is no backend yet/],
    [file.replace('pg.password', 'nothing'), /fleet\.yaml:2: backends\.main\.password-file: .*no such file/],
  ])('stops the start when it is wrong: %j', async (text, words) => {
    const failure: unknown = await loadSeed(await written(text), application).catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(BadFleetFile);
    expect(failure).toMatchObject({ sentences: [expect.stringMatching(words)] });
  });
});
