import { beforeEach, describe, expect, inject, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { isActive, type Status, useComposeFleet } from '../support/compose-fleet.ts';
import { docker } from '../support/docker.ts';
import { UnitWords } from '../support/unit-words.ts';

const fleet = useComposeFleet({ image: inject('e2e').images.forky, files: ['deploy/compose/redis.yml'] });
beforeEach(async () => {
  await fleet().until('all are well', isWell);
});

const isWell = (status: Status): boolean =>
  status.backplane.state === 'connected' && status.leader !== null && isActive(status, 3);

const pidsOf = ({ units }: Status) => units.map(({ unit, instances }) => [unit, instances.map(({ pid }) => pid)]);

const unharmed = { missing: [], doubled: [], breaks: [], refused: [] };

describe('a fleet of PgBouncer 1.26 on Redis 8', () => {
  it('is one like any other', async () => {
    const { id } = await fleet().container('valkey');
    expect(await docker(['exec', id, 'redis-server', '--version'])).toMatch(/^Redis server v=8\./);
    const { units } = await fleet().status();
    expect(units.flatMap(({ instances }) => instances.map(({ version }) => version?.slice(0, 5)))).toEqual(
      Array.from({ length: 6 }, () => '1.26.'),
    );
    await using clients = await Accountant.start(fleet());
    await clients.untilWritten(50);
    expect(clients.through.size).toBeGreaterThan(1);
    expect(await clients.close()).toMatchObject(unharmed);
  });

  it('serves while its store hangs, says so, and is together again when the store goes on', async () => {
    const before = await fleet().status();
    await using words = await UnitWords.of(fleet());
    await using clients = await Accountant.start(fleet());
    const { id } = await fleet().container('valkey');
    await docker(['pause', id]);
    try {
      await words.until('each says that the store is away and nobody leads', isAlone);
      await clients.untilWritten(100);
    } finally {
      await docker(['unpause', id]);
    }
    const after = await fleet().until('all are well', isWell);
    await clients.untilWritten(50);
    expect(await clients.close()).toMatchObject(unharmed);
    expect(after.generation).toEqual(before.generation);
    expect(pidsOf(after)).toEqual(pidsOf(before));
    // A leader gives up a little before its lease runs out: it may find it as it was.
    expect(after.leader?.epoch).toBeGreaterThanOrEqual(before.leader?.epoch ?? 1);
  });

  it('serves while its store is restarted, which keeps everything', async () => {
    const before = await fleet().status();
    await using words = await UnitWords.of(fleet());
    await using clients = await Accountant.start(fleet());
    // A restart may be over before every unit has asked for anything.
    await fleet().compose('stop', 'valkey');
    await words.until('each has seen it go', ({ backplane }) => backplane.state !== 'connected');
    await fleet().compose('start', 'valkey');
    const after = await fleet().until('all are well', isWell);
    await clients.untilWritten(50);
    expect(await clients.close()).toMatchObject(unharmed);
    expect(after.generation).toEqual(before.generation);
    expect(after.intent).toEqual(before.intent);
    expect(pidsOf(after)).toEqual(pidsOf(before));
  });

  it('serves while its store is emptied, and gives it back what the ledgers of its units know', async () => {
    const before = await fleet().status();
    await using words = await UnitWords.of(fleet());
    await using clients = await Accountant.start(fleet());
    const { id } = await fleet().container('valkey');
    const cli = (command: string) =>
      docker(['exec', id, 'sh', '-c', `REDISCLI_AUTH=$(cat /keys/password) redis-cli ${command}`]);
    const { epoch } = before.leader ?? { epoch: 0 };
    const endsBefore = await endsOf(epoch);
    expect(await cli('FLUSHALL')).toBe('OK\n');
    const after = await fleet().until('all are well', (s) => isWell(s) && (s.leader?.epoch ?? 0) > epoch);
    await clients.untilWritten(50);
    expect(await clients.close()).toMatchObject(unharmed);
    // An election may be over before any unit says that nobody leads; who led has logged it. No unit knew less than before.
    expect(await endsOf(epoch)).toBe(endsBefore + 1);
    expect(words.statuses.filter(({ generation }) => generation.published !== before.generation.published)).toEqual([]);
    expect(after.generation).toEqual(before.generation);
    expect(after.intent).toEqual(before.intent);
    expect(after.units.map(({ unit }) => unit)).toEqual(before.units.map(({ unit }) => unit));
    expect(pidsOf(after)).toEqual(pidsOf(before));
  });
});

/** How often units have said in their logs that they lead no longer, of one term. */
const endsOf = async (epoch: number): Promise<number> => {
  const log = await fleet().compose('logs', '--no-color', '--no-log-prefix', 'unit');
  return log.split('\n').filter((line) => line.includes('"leadership ended"') && line.includes(`"epoch":${epoch},`))
    .length;
};

const isAlone = ({ backplane, leader }: Status): boolean => backplane.state === 'unreachable' && leader === null;
