import type { Secret } from '../actors/model/secret.ts';
import { databasesIn, settingsIn } from './ini.ts';

/** Log, listeners, sockets of its own, name lookups, consoles, and what passes while others close. */
const besides = 60;

/** How many files and connections one instance may have open at once, by its own reckoning: each login may fill each of its pools. */
export const descriptorsNeeded = (ini: string, authFile: Secret): number => {
  const settings = settingsIn(ini);
  const clients = Number(settings.get('max_client_conn') ?? 0);
  const logins = authFile.reveal().split('\n').filter(Boolean).length;
  const servers = [...databasesIn(ini).values()].map((pairs) => {
    const size = Number(pairs.get('pool_size') ?? settings.get('default_pool_size') ?? 0);
    const most = Number(pairs.get('max_db_connections') ?? 0);
    const all = size * logins;
    return most > 0 ? Math.min(all, most) : all;
  });
  return clients + servers.reduce((sum, count) => sum + count, 0) + besides;
};
