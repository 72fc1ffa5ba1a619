import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { UnitStatus } from '../../src/actors/model/status.ts';
import { RestartedUnit } from '../support/restarted-unit.ts';
import { testDirectory } from '../support/servers.ts';

describe('a unit whose coordinator has a defect', () => {
  it('ends with 70, and after the third within a minute only observes; its PgBouncers never notice', async () => {
    const trigger = join(await testDirectory(), 'trigger');
    const program = fileURLToPath(new URL('../support/unit-with-defect-process.ts', import.meta.url));
    await using unit = await RestartedUnit.open({ command: [program, trigger] });
    const status = () => unit.api.status(AbortSignal.timeout(5_000));
    const before = await unit.until(({ status }) => status === 'active');
    const pids = pidsOf(before);
    expect(pids).toHaveLength(2);

    await writeFile(trigger, 'boo');
    expect(await unit.ended()).toBe('ended with code 70');
    for (const _ of [2, 3]) {
      await unit.start();
      expect(await unit.ended()).toBe('ended with code 70');
    }

    await unit.start();
    const observing = await unit.until(({ status }) => status === 'blocked');
    const [wait] = observing.waits;
    expect(wait).toMatchObject({ id: 'observe-only', on: 'operator' });
    const [, incident = ''] = /incidents ([0-9a-f]{8}), .*in peers: cannot stand/.exec(observing.message) ?? [];
    expect(await readFile(unit.log, 'utf8')).toContain(`"incident":"${incident}"`);
    expect(pidsOf(await unit.until(({ instances }) => pidsOf({ instances }).length === 2))).toEqual(pids);
    // The defect shows again, and is not allowed to end what is left.
    await unit.until(({ generation }) => generation.applied !== null);
    expect((await status()).leader).toBeNull();
    expect(await unit.answers('/readiness')).toBe(200);
    const outcome = await unit.api.change(
      { type: 'setOptions', options: { pool_mode: 'session' } },
      AbortSignal.timeout(15_000),
    );
    expect(outcome).toMatchObject({ kind: 'unavailable', reason: expect.stringContaining('only observes') });

    await rm(trigger);
    unit.signal('SIGHUP');
    expect(await unit.ended()).toBe('ended with code 0');
    await unit.start();
    expect(pidsOf(await unit.until(({ status }) => status === 'active'))).toEqual(pids);
    expect((await status()).leader?.unit).toBe('pgbouncer/0');
  }, 90_000);
});

const pidsOf = ({ instances }: Pick<UnitStatus, 'instances'>): readonly number[] =>
  instances.flatMap(({ pid }) => pid ?? []);
