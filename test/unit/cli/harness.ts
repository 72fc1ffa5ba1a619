import { join } from 'node:path';
import { expect } from 'vitest';
import type { Fleet } from '../../../src/actors/ports/fleet.ts';
import type { Output } from '../../../src/infra/cli/progress.ts';
import { cli } from '../../../src/programs/cli.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { serve, temporaryDirectory } from '../api/harness.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a stream was told, as a file, a pipe or a terminal takes it. */
export class Captured implements Output {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number = 80;
  readonly rows: number = 24;
  readonly #listeners: ((cause: Error) => void)[] = [];
  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }
  write(text: string): boolean {
    this.text += text;
    return true;
  }
  on(_: 'error', listener: (cause: Error) => void): void {
    this.#listeners.push(listener);
  }
  /** Whoever read it has left. */
  close(): void {
    for (const listener of this.#listeners) listener(new Error('EPIPE'));
  }
}

export interface Surroundings {
  readonly runDir: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly colour?: boolean;
  /** Somebody looks at stdout. */
  readonly terminal?: boolean;
}

/** A command under way: what it has said so far, and how it ends. */
export interface Started {
  readonly stdout: Captured;
  readonly stderr: Captured;
  readonly ended: Promise<Ran>;
  /** Ctrl-C; false when nothing listens, and the process would end by it. */
  interrupt(): boolean;
}

export const startIn = (
  { runDir, environment = {}, stdin = '', colour = false, terminal = false }: Surroundings,
  ...argv: readonly string[]
): Started => {
  const [stdout, stderr] = [new Captured(terminal), new Captured()];
  const interrupted = new Set<() => void>();
  const onInterrupt = (listener: () => void): Disposable => {
    interrupted.add(listener);
    return { [Symbol.dispose]: () => void interrupted.delete(listener) };
  };
  const io = { stdout, stderr, stdin: textIn(stdin), environment, runDirectories: [runDir], onInterrupt, colour };
  const ended = cli(argv, io).then((code) => ({ code, stdout: stdout.text, stderr: stderr.text }));
  const interrupt = (): boolean => {
    for (const listener of interrupted) listener();
    return interrupted.size > 0;
  };
  return { stdout, stderr, ended, interrupt };
};

export const runIn = (surroundings: Surroundings, ...argv: readonly string[]): Promise<Ran> =>
  startIn(surroundings, ...argv).ended;

/** Until a command under way has said so. */
export const said = ({ stderr }: Started, text: string): Promise<void> =>
  expect.poll(() => stderr.text, { interval: 5, timeout: 5_000 }).toContain(text);

async function* textIn(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

export interface FleetOptions {
  readonly held?: boolean;
  /** Those with an API. */
  readonly units?: readonly number[];
  /** How they see it, if not as it is. */
  readonly as?: (fleet: Fleet) => Fleet;
}

/** A fleet of three units with an API, and the command line beside it. */
export const fleetWithCli = async ({ held = false, units = [0], as = (fleet) => fleet }: FleetOptions = {}) => {
  const fleet = new MemoryFleet({ units: 3, held });
  const runDir = await temporaryDirectory();
  const socketOf = (number: number) => join(runDir, `pgbouncer-${number}.sock`);
  const open = (number: number) => serve(as(fleet.seenFrom(number)), socketOf(number));
  const apis = await Promise.all(units.map(open));
  return {
    fleet,
    runDir,
    apis,
    open,
    socketOf,
    run: (...argv: readonly string[]) => runIn({ runDir }, ...argv),
    start: (...argv: readonly string[]) => startIn({ runDir }, ...argv),
  };
};
