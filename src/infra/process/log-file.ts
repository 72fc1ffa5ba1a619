/**
 * The log of an instance is the file its stderr goes to: PgBouncer neither opens nor rotates it. So it is rotated from outside by
 * copying and emptying it (it is opened for append and goes on at the start), and read from where it stood before a step.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { copyFile, lstat, open, rename, rm, truncate } from 'node:fs/promises';
import { codeOf, isSystemError } from '../files/system-error.ts';

export type LogOffset = number;

/** For a child to inherit; the caller closes it. To serve counts more than to keep a log, where none can be written. */
export const openLog = (file: string): { readonly fd: number } & Disposable => {
  const fd = opened(file) ?? openSync('/dev/null', 'a');
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
};

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

/** Null where it cannot be written. Never through a link that somebody planted. */
const opened = (file: string): number | null => {
  try {
    return openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (cause) {
    if (isSystemError(cause)) return null;
    throw cause;
  }
};

export const logEnd = async (file: string): Promise<LogOffset> => {
  try {
    const found = await lstat(file);
    return found.isFile() ? found.size : 0;
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return 0;
    throw cause;
  }
};

/** Text since an offset, the last part of it when there is much. A log that was rotated meanwhile is read from its start. */
export const logSince = async (file: string, offset: LogOffset): Promise<string> => {
  const end = await logEnd(file);
  if (end === 0) return '';
  const begin = Math.max(end < offset ? 0 : offset, end - readableBytes);
  await using log = await open(file);
  const { buffer, bytesRead } = await log.read({ buffer: Buffer.alloc(end - begin), position: begin });
  return buffer.toString('utf8', 0, bytesRead);
};

/** Keeps one older copy. What is written between copying and emptying is lost: the price for never restarting PgBouncer. */
export const rotateLog = async (file: string, limitBytes: number): Promise<void> => {
  if ((await logEnd(file)) <= limitBytes) return;
  const copy = `${file}.1.new`;
  try {
    await rm(copy, { recursive: true, force: true });
    await copyFile(file, copy, constants.COPYFILE_EXCL);
    await rename(copy, `${file}.1`);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    await rm(copy, { recursive: true, force: true }); // Where no copy fits, room counts more than old lines.
  }
  await truncate(file);
};

const readableBytes = 64 * 1024;
