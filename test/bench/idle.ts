import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchFleet } from './fleet.ts';
import { median, type Row, rounded } from './report.ts';

const seconds = 20;
/** Of /proc: how many of them a second has. Linux shows 100 to every program. */
const ticksPerSecond = 100;

/** What units cost that have nothing to do: of their coordinators alone, their instances count for themselves. */
export const idle = async ({ fleet, api }: BenchFleet): Promise<readonly Row[]> => {
  const { units } = await api(0).status(AbortSignal.timeout(10_000));
  const pids = units.flatMap(({ pid }) => (pid === null ? [] : [pid]));
  if (pids.length !== fleet.units.length) throw new Error('not every unit has told its process');
  const before = pids.map(ticksOf);
  const commands = await commandsWithin(fleet.redis, seconds);
  const after = pids.map(ticksOf);
  const share = (of: keyof Ticks): number =>
    median(after.map((ticks, index) => (100 * (ticks[of] - (before[index]?.[of] ?? 0))) / ticksPerSecond / seconds));
  const [user, system] = [rounded(share('user')), rounded(share('system'))];
  return [
    row('commands of one to the store', rounded(commands / seconds / pids.length), 'per second', 3),
    {
      ...row('processor of one coordinator, median', rounded(user + system), '% of a core', 1),
      note: `${user} % of its own, ${system} % of the system for it: each second it asks every instance what it has in force and in use, reads their files, and looks who listens`,
    },
    row('memory of one coordinator, median', rounded(median(pids.map(residentMb))), 'MB', 120),
  ];
};

const row = (what: string, value: number, unit: string, most: number): Row => ({
  name: `idle units for ${seconds} s: ${what}`,
  value,
  unit,
  floor: null,
  ratio: null,
  budget: `${most} ${unit}`,
  holds: value <= most,
  note: '',
});

/** User and system time; the second field is the program's name, which may hold blanks. */
const ticksOf = (pid: number): Ticks => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]), system: Number(fields[12]) };
};

interface Ticks {
  readonly user: number;
  readonly system: number;
}

const residentMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** What clients ask; what scripts do within the store is not theirs to count. */
const commandsWithin = async (
  { host, port, password }: BenchFleet['fleet']['redis'],
  forSeconds: number,
): Promise<number> => {
  const socket = createConnection({ host, port });
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  socket.write(`AUTH ${password.reveal()}\r\nMONITOR\r\n`);
  await delay(forSeconds * 1_000);
  socket.destroy();
  return said.split('\r\n').filter((line) => /^\+\d+\.\d+ \[\d+ (?!lua\])/.test(line)).length;
};
