import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface AccountInContainer {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Null when there is none of that name or number. Each is looked up once: a process for every file costs more than the file. */
export const accountOf = (nameOrUid: string): Promise<AccountInContainer | null> => {
  const account = asked.get(nameOrUid) ?? lookedUp(nameOrUid);
  asked.set(nameOrUid, account);
  return account;
};

const asked = new Map<string, Promise<AccountInContainer | null>>();

const lookedUp = async (nameOrUid: string): Promise<AccountInContainer | null> => {
  const line = await promisify(execFile)('getent', ['passwd', nameOrUid]).then(
    ({ stdout }) => stdout,
    () => '', // Answered "unknown" by its exit code.
  );
  const [name, , uid, gid, , home = '/'] = line.trim().split(':');
  if (name === undefined || name === '') return null;
  return { name, uid: Number(uid), gid: Number(gid), home };
};

/** Who a program is to run as; throws a sentence. Undefined: as Pebble itself. */
export const becoming = async (user: string | undefined): Promise<AccountInContainer | undefined> => {
  if (user === undefined) return undefined;
  const account = await accountOf(user);
  if (account === null) throw new Error(`user: unknown user ${user}`);
  return account.uid === process.getuid?.() ? undefined : account;
};
