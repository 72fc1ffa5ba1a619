import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { readWhole, writeAtomic } from './atomic-file.ts';
import { isAlive, markOf } from './process-mark.ts';

const fileName = 'holder.json';
const maxBytes = 10_000;
const holderSchema = z.object({
  /** A container has a name of its own, and keeps it when it is started again. */
  host: z.string(),
  process: z.object({ pid: z.int(), startedAt: z.int(), bootId: z.string() }),
});

/** Says in the folder of a unit that this process is the unit. */
export const holdFolder = async (directory: string): Promise<void> => {
  const holder = { host: hostname(), process: markOf(process.pid) };
  await writeAtomic(join(directory, fileName), JSON.stringify(holder), 0o600);
};

/**
 * Whether the unit of this folder ran here last and does not any more: whoever starts now is that unit again. On a volume that many
 * share, the folder of a unit elsewhere may be one of a unit that lives, however long nobody has heard of it.
 */
export const wasHeldHere = async (directory: string): Promise<boolean> => {
  const holder = holderIn(await readWhole(join(directory, fileName), maxBytes).catch(() => null)); // Not ours to read.
  if (holder === null || holder.host !== hostname()) return false;
  return holder.process.pid === process.pid || !isAlive(holder.process);
};

/** Null when there is none, or none that can be read. */
const holderIn = (text: string | null): z.output<typeof holderSchema> | null => {
  try {
    return holderSchema.parse(JSON.parse(text ?? ''));
  } catch {
    return null;
  }
};
