import type { Console } from '../console/console.ts';

/** An instance that runs, as its console is reached. */
export interface Reached {
  readonly id: number;
  /** For questions. */
  readonly console: Console;
  /** One for a command that blocks, and that is closed after it. */
  consoleOfItsOwn(): Console;
  /** To be known to the next coordinator, because before 1.19 PgBouncer itself cannot tell. */
  notePaused(paused: boolean): Promise<void>;
}
