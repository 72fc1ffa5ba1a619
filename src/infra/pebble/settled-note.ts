import type { Pebble } from './client.ts';
import { placesIn } from './places.ts';
import { PebbleError } from './trouble.ts';

/** The note for later dispatches lies in the container, and goes with what it tells of. Nothing rejects because Pebble is not there. */
export interface SettledNote {
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

export const settledNoteIn = (pebble: Pebble, stateDir: string): SettledNote => {
  const path = placesIn(stateDir).settled;
  return {
    write: (content) => tried((signal) => pebble.writeFiles([{ path, content, permissions: '600' }], signal)),
    remove: () => tried((signal) => pebble.removePaths([{ path, recursive: true }], signal)),
  };
};

/** Without a note, or with one that tells of another time, the next dispatch looks at everything. */
const tried = async (work: (signal: AbortSignal) => Promise<unknown>): Promise<void> => {
  try {
    await work(AbortSignal.timeout(longestMs));
  } catch (cause) {
    if (!(cause instanceof PebbleError)) throw cause;
  }
};
const longestMs = 5_000;
