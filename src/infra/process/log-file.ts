/**
 * The log of an instance is the file its stderr goes to: PgBouncer neither opens nor rotates it. So it is rotated from outside by
 * copying and emptying it (it is opened for append and goes on at the start), and read from where it stood before a step.
 */
import { closeSync, openSync } from 'node:fs';
import { copyFile, open, stat, truncate } from 'node:fs/promises';
import { codeOf } from '../files/system-error.ts';

export type LogOffset = number;

/** For a child to inherit; the caller closes it. */
export const openLog = (file: string): { readonly fd: number } & Disposable => {
  const fd = openSync(file, 'a', 0o600);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
};

export const logEnd = async (file: string): Promise<LogOffset> => {
  try {
    return (await stat(file)).size;
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
  await copyFile(file, `${file}.1`);
  await truncate(file);
};

const readableBytes = 64 * 1024;
