import { expect, it } from 'vitest';
import type { FleetStatus } from '../../../src/actors/model/status.ts';
import { widthOf } from '../../../src/infra/cli/screen.ts';
import { statusTable } from '../../../src/infra/cli/status-table.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';

const now = Date.parse('2026-11-24T10:05:00.000Z');
const shown = (status: FleetStatus, colour = false, width: number | null = null): string =>
  statusTable(status, { colour, width, now });
const settled = (): FleetStatus => {
  const fleet = new MemoryFleet();
  fleet.settle();
  return fleet.status(0);
};

/** Rows of the section that begins with this heading, as cells. */
const rowsUnder = (text: string, heading: string): readonly (readonly string[])[] => {
  const section = text.split('\n\n').find((one) => one.startsWith(heading)) ?? '';
  return section.split('\n').map((line) => line.split(/ {2,}/));
};

type WaitStatus = FleetStatus['units'][number]['waits'][number];
const waitOf = (given: Partial<WaitStatus>): WaitStatus => ({
  id: 'instances',
  kind: 'waiting',
  message: 'instances do not serve: they have just begun; this unit starts them',
  since: '2026-11-24T10:00:00.000Z',
  on: 'pgbouncer/0',
  ...given,
});

it('a fleet at rest has one row a unit, the leader marked, and no waits', () => {
  const text = shown(settled());
  expect(rowsUnder(text, 'UNIT')).toEqual([
    ['UNIT', 'STATUS', 'ADDRESS', 'GENERATION', 'INSTANCES', 'PGBOUNCER'],
    ['pgbouncer/0*', 'active', '127.0.0.11:6432', '1', '2/2', '1.26.0'],
    ['pgbouncer/1', 'active', '127.0.0.12:6432', '1', '2/2', '1.26.0'],
    ['pgbouncer/2', 'active', '127.0.0.13:6432', '1', '2/2', '1.26.0'],
  ]);
  expect(text).toContain('leader       pgbouncer/0, epoch 3\ngeneration   1, verified by every unit\n');
  expect(text).not.toMatch(/waiting|blocked|RELATION/);
  expect(text).toMatch(/^application  pgbouncer: 3 of 3 units active; generation 1 good\n/);
});

it('a budget is told with what is in use, and what is held above it stands out', () => {
  const status = new MemoryFleet().status(0);
  expect(rowsUnder(shown(status), 'BUDGET')).toEqual([
    ['BUDGET', 'CONNECTIONS', 'SHARED OUT', 'IN USE'],
    ['database orders', '60', '60', '21'],
  ]);
  const budgets = status.budgets.map((budget) => ({ ...budget, given: 45, held: 63 }));
  expect(rowsUnder(shown({ ...status, budgets }), 'BUDGET')[1]).toEqual(['database orders', '60', '45', '21', '63']);
});

it('what is wrong is in its row, and what is waited for below', () => {
  const status = settled();
  const [zero, one, two] = status.units;
  if (zero === undefined || one === undefined || two === undefined) throw new Error('three units');
  const text = shown({
    ...status,
    leader: null,
    backplane: {
      kind: 'redis',
      state: 'unreachable',
      message: 'connection refused',
      since: '2026-11-24T10:03:30.000Z',
    },
    intent: { version: 4, author: 'alice@host', at: '2026-11-24T08:00:00.000Z' },
    generation: { published: 3, good: 2, intentVersion: 3, refused: { intentVersion: 4, reason: 'line 7' } },
    units: [
      {
        ...zero,
        leader: false,
        status: 'blocked',
        message: 'disk full',
        waits: [waitOf({ id: 'disk', kind: 'blocked', message: 'disk full', on: 'operator' })],
      },
      { ...one, status: 'unknown', message: 'no heartbeat for 70 s', lastSeenMs: 70_000 },
      {
        ...two,
        generation: { applied: 2, refused: { generation: 3, reason: 'line 7' } },
        instances: two.instances.map((instance) =>
          instance.id === 2 ? { ...instance, state: 'failing', version: '1.24.1' } : instance,
        ),
      },
    ],
    relations: [
      {
        id: 9,
        name: 'old',
        endpoint: 'database',
        database: 'olddb',
        life: 'dying',
        state: 'waiting',
        message: 'PostgreSQL is away',
        servers: null,
      },
      {
        id: 2,
        name: 'orders',
        endpoint: 'database',
        database: 'orders',
        life: 'alive',
        state: 'active',
        message: 'database orders',
        servers: null,
      },
      {
        id: 1,
        name: 'main',
        endpoint: 'backend-database',
        database: null,
        life: 'alive',
        state: 'blocked',
        message: 'wrong password',
        servers: null,
      },
    ],
  });
  expect(text).toContain(
    'leader       nobody\ngeneration   3 published, 2 verified\nrefused      version 4 of the intent: line 7\n',
  );
  expect(text).toContain(
    'intent       version 4, by alice@host 2h ago\nbackplane    redis, unreachable for 90s: connection refused',
  );
  expect(rowsUnder(text, 'UNIT').slice(1)).toEqual([
    ['pgbouncer/0', 'blocked', '127.0.0.11:6432', '1', '2/2', '1.26.0', 'disk'],
    ['pgbouncer/1', 'unknown', '127.0.0.12:6432', '1', '2/2', '1.26.0', '70s ago', 'no heartbeat for 70 s'],
    ['pgbouncer/2', 'active', '127.0.0.13:6432', '2 (refuses 3)', '1/2 (2 failing)', '1.24.1, 1.26.0'],
  ]);
  expect(rowsUnder(text, 'RELATION').slice(1)).toEqual([
    ['main', 'backend-database', 'blocked', 'wrong password'],
    ['old', 'database', 'olddb', 'dying', 'PostgreSQL is away'],
    ['orders', 'database', 'orders', 'active'],
  ]);
  expect(text).toMatch(/\n\npgbouncer\/0: blocked for 5m on operator \(disk\)\n  disk full$/);
  expect(text).toMatch(
    /^application  pgbouncer: 1 of 3 units active, 1 blocked, 1 unknown; generation 3 not verified yet\n/,
  );
});

it('a generation that a silent unit has not verified is not called verified by every unit', () => {
  const status = settled();
  const units = status.units.map((unit) =>
    unit.number === 1 ? { ...unit, status: 'unknown' as const, generation: { applied: null, refused: null } } : unit,
  );
  expect(shown({ ...status, units })).toContain('generation   1, verified by every live unit (away: pgbouncer/1)\n');
});

it('the same lack of several units is told once, and not again in the row of its relation', () => {
  const status = settled();
  const message = 'backend "main": wrong password';
  const units = status.units.map((unit) => ({
    ...unit,
    status: 'blocked' as const,
    message,
    waits: [
      waitOf({
        id: 'backend:main',
        kind: 'blocked',
        message,
        since: `2026-11-24T10:0${unit.number}:00.000Z`,
        on: 'operator',
      }),
    ],
  }));
  const main = {
    id: 1,
    name: 'main',
    endpoint: 'backend-database',
    database: null,
    life: 'alive',
    servers: null,
  } as const;
  const text = shown({ ...status, units, relations: [{ ...main, state: 'blocked', message }] });
  expect(text.split(message)).toHaveLength(2);
  expect(text).toMatch(
    /\n\nevery unit: blocked for 5m on operator \(backend:main\)\n  backend "main": wrong password$/,
  );
});

it('of a unit that lacks several things what blocks it is told in full, the others by their ids, and blocked units come first', () => {
  const status = settled();
  const [blocking, other] = [waitOf({ id: 'proof', kind: 'blocked', on: 'operator' }), waitOf({ id: 'leader' })];
  const units = status.units.map((unit) => {
    if (unit.number === 0) return unit;
    const waits = unit.number === 1 ? [waitOf({})] : [waitOf({}), blocking, other];
    const word = unit.number === 1 ? ('waiting' as const) : ('blocked' as const);
    return { ...unit, status: word, message: waits.at(unit.number - 1)?.message ?? '', waits };
  });
  const text = shown({ ...status, units });
  expect(text.split('\n\n').at(-1)?.split('\n')).toEqual([
    'pgbouncer/2: blocked for 5m on operator (proof)',
    `  ${blocking.message}`,
    '  also instances, leader: "troupe show-unit pgbouncer/2" tells them in full',
    'pgbouncer/1: waiting for 5m on pgbouncer/0 (instances)',
    `  ${blocking.message}`,
  ]);
  expect(rowsUnder(text, 'UNIT').map((row) => row[6])).toEqual(['MESSAGE', undefined, 'instances', 'proof and 2 more']);
});

it('the units of one lack are named up to four', () => {
  const status = settled();
  const units = [0, 1, 2, 3, 4, 5, 6].flatMap((number) =>
    status.units.slice(0, 1).map((unit) => ({
      ...unit,
      unit: `pgbouncer/${number}`,
      number,
      waits: number === 6 ? [] : [waitOf({})],
    })),
  );
  expect(shown({ ...status, units })).toContain(
    '\npgbouncer/0, pgbouncer/1, pgbouncer/2, pgbouncer/3 and 2 more: waiting',
  );
});

it('on a screen long sentences go on below themselves, and elsewhere on one line', () => {
  const status = settled();
  const message = 'no heartbeat for 70 s: its coordinator is away, its PgBouncers may well serve, and so on';
  const units = status.units.map((unit) => ({ ...unit, message, waits: [waitOf({ message })] }));
  const relation = {
    id: 1,
    name: 'main',
    endpoint: 'backend-database',
    database: null,
    life: 'alive',
    servers: null,
  } as const;
  const long = {
    ...status,
    units,
    relations: [{ ...relation, state: 'blocked' as const, message: `main: ${message}` }],
  };
  for (const width of [40, 80, 120]) {
    const text = shown(long, false, width);
    expect(
      text
        .split('\n')
        .slice(5)
        .filter((line) => widthOf(line) > Math.max(width, 75)),
    ).toEqual([]);
    expect(text.replaceAll(/\s+/g, ' ')).toContain(`(instances) ${message}`);
    expect(text.replaceAll(/\s+/g, ' ')).toContain(`main: ${message}`);
  }
  expect(shown(long)).toContain(`  main: ${message}\n`);
});

it('before anything was heard says so', () => {
  const text = shown({ ...new MemoryFleet({ units: 1 }).status(0), leader: null, units: [] });
  expect(text).toContain('leader       nobody\ngeneration   none yet\nintent       none yet\n');
});

it('columns stay under their headings, colour and wide text or not', () => {
  const status = settled();
  const units = status.units.map((unit) => ({ ...unit, address: '数据库.example:6432', message: 'é — ok 🙂' }));
  const plainText = shown({ ...status, units });
  const coloured = shown({ ...status, units }, true);
  expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(plainText);
  expect(coloured).toContain('\u001b[32mactive\u001b[0m');
  const lines =
    plainText
      .split('\n\n')
      .find((section) => section.startsWith('UNIT'))
      ?.split('\n') ?? [];
  const starts = lines.map((line) => widthOf(line.slice(0, line.search(/GENERATION|(?<=6432 +)1/))));
  expect(starts).toEqual(Array.from(lines, () => starts[0]));
});

it('what others wrote cannot move the cursor, break lines or turn text around', () => {
  const status = settled();
  const evil = '\u001b[2J\u001b]0;title\u0007\r\nUNIT\u202eevil\u0085';
  const text = shown({
    ...status,
    units: status.units.map((unit) => ({
      ...unit,
      message: evil,
      address: evil,
      instances: unit.instances.map((instance) => ({ ...instance, state: evil })),
    })),
    backplane: { ...status.backplane, kind: evil },
  });
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(text.split('\n')).toHaveLength(shown(status).split('\n').length);
});
