import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { writeAtomic } from '../files/atomic-file.ts';
import { checked, unchecked } from '../files/checked.ts';
import { type ProcessMark } from '../files/process-mark.ts';
import { isSystemError } from '../files/system-error.ts';

/** What outlives the coordinator: which process runs in this place, and how its console is reached. */
export interface ProcessRecord {
  readonly mark: ProcessMark;
  /** As the process was started, whatever the files say by now. */
  readonly port: number;
  readonly socketDir: string;
  /** Written before a pause and after its end: before 1.19 PgBouncer cannot tell that it is paused. */
  readonly paused: boolean;
}

const schema = z.object({
  mark: z.object({ pid: z.int().positive(), startedAt: z.int(), bootId: z.string() }),
  port: z.int(),
  socketDir: z.string(),
  paused: z.boolean(),
});

export const writeRecord = (file: string, { mark, port, socketDir, paused }: ProcessRecord): Promise<void> =>
  writeAtomic(file, checked({ mark, port, socketDir, paused }), 0o600);

/** Null when there is none, or one that is of no use: what runs is then found by its arguments and its socket. */
export const readRecord = (file: string): ProcessRecord | null => {
  try {
    return schema.safeParse(unchecked(readFileSync(file, 'utf8'))).data ?? null;
  } catch (cause) {
    if (isSystemError(cause)) return null;
    throw cause;
  }
};
