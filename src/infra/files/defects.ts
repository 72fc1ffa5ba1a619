/**
 * The defects that ended this unit's coordinator, so that the next start knows of a crash loop. One line for each, the last few
 * only: a file that was cut or changed loses a line and nothing else. Written while the process dies, so all at once.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { WallMs } from '../../actors/model/ids.ts';
import { checked, unchecked } from './checked.ts';

export interface Defect {
  readonly at: WallMs;
  /** Names it in the log of this unit, in its status, and in a report. */
  readonly incident: string;
  readonly where: string;
  readonly message: string;
}

/** Newest last. What cannot be read is not there: then the unit is started as usual. */
export const readDefects = (directory: string): readonly Defect[] => {
  try {
    const lines = readFileSync(join(directory, fileName), 'utf8').split('\n');
    return lines.flatMap((line) => schema.safeParse(unchecked(line)).data ?? []).slice(-kept);
  } catch {
    return [];
  }
};

export const noteDefect = (directory: string, defect: Defect): void => {
  const lines = [...readDefects(directory), { ...defect, message: defect.message.slice(0, 500) }].slice(-kept);
  const path = join(directory, fileName);
  const fresh = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(fresh, lines.map((line) => `${checked({ ...line })}\n`).join(''));
    fsyncSync(fresh);
  } finally {
    closeSync(fresh);
  }
  renameSync(`${path}.new`, path);
};

/** The operator has stopped this unit: the next start begins anew. */
export const forgetDefects = (directory: string): void => rmSync(join(directory, fileName), { force: true });

/** How long a unit that crashed again and again keeps still before it tries again. */
export const quietMs = 10 * 60_000;
const loopMs = 60_000;
const loopCount = 3;

/** The defects of a crash loop that is not over: the third within a minute, and no quiet time since. Null when there is none. */
export const crashLoopIn = (defects: readonly Defect[], now: WallMs): readonly Defect[] | null => {
  const last = defects.slice(-loopCount);
  const [first, newest] = [last[0], last.at(-1)];
  if (first === undefined || newest === undefined || last.length < loopCount) return null;
  // A clock that was set back makes the past lie ahead: that is no reason to crash on.
  return newest.at - first.at <= loopMs && now - newest.at < quietMs ? last : null;
};

const fileName = 'defects';
const kept = 10;
const schema: z.ZodType<Defect> = z.object({
  at: z
    .int()
    .nonnegative()
    .transform((ms) => ms as WallMs),
  incident: z.string(),
  where: z.string(),
  message: z.string(),
});
