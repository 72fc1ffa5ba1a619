import { writeAtomic } from '../files/atomic-file.ts';
import { freshLogin, loginIn, type OwnLogin, textOfLogin } from '../instances/login.ts';
import { readOwn } from './own-file.ts';

/** The unit's own login, for proving that logins over TCP work. */
export const probeLogin = async (file: string): Promise<OwnLogin> => {
  const kept = loginIn(await readOwn(file));
  if (kept !== null) return kept;
  const fresh = await freshLogin('troupe_probe');
  await writeAtomic(file, textOfLogin(fresh), 0o600);
  return fresh;
};
