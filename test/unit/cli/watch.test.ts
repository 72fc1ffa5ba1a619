import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { unit } from '../../support/builders.ts';
import { fleetWithCli, runIn, said, startIn, type Started } from './harness.ts';

const secret = new Secret('p');
const printed = ({ stdout }: Started, text: string): Promise<void> =>
  expect.poll(() => stdout.text, { interval: 5 }).toContain(text);

describe('status --watch, where nobody looks at a screen', () => {
  it('prints what is there, then a line for each change with its time, until Ctrl-C, which is no failure', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('status', '--watch');
    await printed(started, ' pgbouncer/2: ');
    expect(started.stdout.text.trimEnd().split('\n')).toHaveLength(7);
    fleet.publish();
    await printed(started, ' generation: 1 published, none verified by every unit\n');
    fleet.say(1, 'waits for its \u001b[31mdisk');
    await printed(
      started,
      ' pgbouncer/1: waiting, no generation yet, 2 of 2 instances serve; waits for its \\u001b[31mdisk\n',
    );
    fleet.leader = null;
    fleet.changed();
    await printed(started, ' leader: nobody\n');
    fleet.verify(0, 1, 2);
    await fleet.changeBehind({ type: 'removeUnit', unit: unit(2), force: false }, 'bob');
    await printed(started, ' pgbouncer/2: active, leaving, generation 1, ');
    fleet.depart();
    await printed(started, ' pgbouncer/2: gone\n');
    expect(started.interrupt()).toBe(true);
    const { code, stdout, stderr } = await started.ended;
    expect([code, stderr]).toEqual([0, '']);
    for (const line of stdout.trimEnd().split('\n'))
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z [a-z]\S*(?: \S+)*: [ -~]+$/);
  });

  it('as JSON prints a status a line, as it came', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('status', '--watch', '--json');
    await printed(started, '\n');
    fleet.publish();
    await printed(started, '"published":1');
    started.interrupt();
    const { code, stdout } = await started.ended;
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect([code, lines.length, lines[1]]).toEqual([0, 2, fleet.status(0)]);
  });

  it('goes on with another unit when the one it asked is lost, and says so', async () => {
    const { fleet, apis, start, open } = await fleetWithCli({ held: true, units: [0, 1] });
    const started = start('status', '--watch');
    await printed(started, 'pgbouncer/2: ');
    await apis[0]?.[Symbol.asyncDispose]();
    await said(started, 'looking for another unit');
    fleet.publish();
    await printed(started, ' generation: 1 published');
    await apis[1]?.[Symbol.asyncDispose]();
    await said(started, 'no unit in ');
    await open(0);
    fleet.verify(0, 1, 2);
    await printed(started, ' generation: 1 published, 1 verified');
    started.interrupt();
    expect((await started.ended).code).toBe(0);
  });

  it('ends when whoever read it has left', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('status', '-w');
    await printed(started, 'pgbouncer/2: ');
    started.stdout.close();
    expect((await started.ended).code).toBe(0);
    await expect.poll(() => fleet.watchers).toBe(0);
  });

  it('ends with 3 when there is nobody to ask in the first place', async () => {
    expect(await runIn({ runDir: '/nowhere' }, 'status', '--watch')).toMatchObject({ code: 3, stdout: '' });
  });
});

describe('status --watch on a terminal', () => {
  it('draws the table anew in its place, cut to the screen, and leaves the last one there', async () => {
    const { fleet, runDir, apis } = await fleetWithCli({ held: true, units: [0, 1] });
    const started = startIn({ runDir, terminal: true }, 'status', '--watch');
    await printed(started, 'pgbouncer/2');
    const height = started.stdout.text.split('\n').length - 1;
    fleet.publish();
    await printed(started, '1 published, none verified');
    expect(started.stdout.text).toContain(`\u001b[${height}A\r\u001b[J`);
    await apis[0]?.[Symbol.asyncDispose]();
    await printed(started, 'pgbouncer/0 was lost; asking pgbouncer/1 now');
    for (let number = 0; number < 3; number++) fleet.say(number, `lacks something of its own, number ${number}`);
    await printed(started, 'number 2');
    started.interrupt();
    const { code, stdout, stderr } = await started.ended;
    expect([code, stderr]).toEqual([0, '']);
    const drawings = stdout.split('\u001b[J');
    for (const drawing of drawings) expect(drawing.split('\n').length).toBeLessThanOrEqual(24);
    expect(drawings.at(-1)).toMatch(/\n\u001b\[\?7h$/);
  });

  it('says how much there is that the screen has no room for', async () => {
    const { fleet, runDir } = await fleetWithCli({ held: true });
    for (let number = 0; number < 30; number++)
      await fleet.changeBehind(
        number === 0
          ? {
              type: 'addBackend',
              name: 'main',
              endpoints: ['a:1'],
              username: 'u',
              password: secret,
              maintenanceDatabase: 'm',
            }
          : { type: 'addClient', name: `c${number}`, database: 'd', backend: null, extraUserRoles: null },
        'test',
      );
    const started = startIn({ runDir, terminal: true }, 'status', '--watch');
    await printed(started, 'more lines');
    started.interrupt();
    expect((await started.ended).stdout.split('\n').length).toBeLessThan(24 * 3);
  });
});
