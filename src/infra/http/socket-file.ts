import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { listenerAt } from '../files/listener-at.ts';
import { codeOf } from '../files/system-error.ts';

/** As the kernel has it, without the zero byte at the end. */
const longestPath = 107;

/**
 * Makes sure that a socket can be made at this path and that nobody else can take its place: the directory is ours and closed to
 * strangers, a socket that nobody listens on is removed. Rejects with a sentence otherwise.
 */
export const prepareSocket = async (socket: string): Promise<void> => {
  const length = Buffer.byteLength(socket);
  if (length > longestPath)
    throw refused(
      socket,
      `the path has ${length} bytes, and sockets allow ${longestPath}: choose a shorter run directory`,
    );
  await prepareDirectory(socket);
  const found = await lstat(socket).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') return null;
    throw refused(socket, messageOf(cause), cause);
  });
  if (found === null) return;
  if (!found.isSocket()) throw refused(socket, 'there is a file that is not a socket: remove it');
  if ((await listenerAt(socket)) !== 'none')
    throw refused(socket, 'another process listens there: a unit of this name runs already; stop it first');
  await unlink(socket);
};

/** As long as the directory is closed, the moment between bind and chmod shows nothing to strangers. */
export const socketMode = 0o660;
const directoryMode = 0o750;

const prepareDirectory = async (socket: string): Promise<void> => {
  const directory = dirname(socket);
  try {
    await mkdir(directory, { recursive: true, mode: directoryMode });
    const { mode, uid } = await lstat(directory);
    const self = process.getuid?.() ?? 0;
    if (uid !== self && uid !== 0) throw new Error(`${directory} belongs to user ${uid}: use another run directory`);
    if ((mode & 0o777 & ~directoryMode) === 0) return;
    if (uid === self) await chmod(directory, mode & directoryMode);
    else if ((mode & 0o002) !== 0) throw new Error(`everybody may write in ${directory}: use another run directory`);
  } catch (cause) {
    throw refused(socket, messageOf(cause), cause);
  }
};

export const refused = (socket: string, why: string, cause?: unknown): Error =>
  new Error(`cannot open the API at ${socket}: ${why}`, { cause });

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
