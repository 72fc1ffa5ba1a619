import { createHash } from 'node:crypto';

/** PostgreSQL cuts longer names without an error, so that two of them could become one. */
const longestName = 63;

/** Why PostgreSQL cannot hold `name` as it is, or null. */
export const faultOfName = (what: string, name: string): string | null => {
  if (name === '') return `cannot use an empty ${what} name`;
  if (name.includes('\0')) return `cannot use ${what} name ${JSON.stringify(name)}: it holds a zero byte`;
  const bytes = Buffer.byteLength(name);
  if (bytes > longestName)
    return `cannot use ${what} name "${name}": it has ${bytes} bytes and PostgreSQL keeps ${longestName}; choose a shorter one`;
  return null;
};

/** Reserved by PostgreSQL for roles. */
export const faultOfRoleName = (what: string, name: string): string | null =>
  faultOfName(what, name) ??
  (name.startsWith('pg_') || name === 'public' || name === 'none'
    ? `cannot use ${what} name "${name}": PostgreSQL reserves it; choose another one`
    : null);

/** Owner of a client database; NOLOGIN. */
export const ownerRoleOf = (database: string): string => bounded('troupe_owner_', database);
/** What a client grants to the logins that it makes; NOLOGIN. */
export const clientRoleOf = (database: string): string => bounded('troupe_client_', database);
/** The database of our own where the fence is. */
export const fenceDatabaseOf = (application: string): string => bounded('troupe_', application);
/** `application_name` of the sessions that change something: a new leader ends those of earlier ones. */
export const changingSessionsOf = (application: string): string => bounded('troupe-admin/', application);
/** `application_name` of the sessions that only look. */
export const lookingSessionsOf = (application: string): string => bounded('troupe-look/', application);

/** Comments that mark what is ours. Everybody can read them. */
export const loginTagOf = (application: string, relation: number): string => `${tagPrefixOf(application)}${relation}`;
export const databaseTagOf = (application: string, database: string): string =>
  `${tagPrefixOf(application)}database:${database}`;
export const clientTagOf = (application: string, database: string): string =>
  `${tagPrefixOf(application)}client:${database}`;
export const fenceTagOf = (application: string): string => `${tagPrefixOf(application)}fence`;
export const tagPrefixOf = (application: string): string => `troupe:${application}:`;

/** The relation that a comment of ours names, or null. */
export const relationOfTag = (application: string, tag: string | null): number | null => {
  const prefix = tagPrefixOf(application);
  if (tag === null || !tag.startsWith(prefix)) return null;
  const number = tag.slice(prefix.length);
  return /^\d{1,16}$/.test(number) && Number.isSafeInteger(Number(number)) ? Number(number) : null;
};

/** `prefix` + `name`, or when that is too long as much of it as fits and a digest of the whole. */
const bounded = (prefix: string, name: string): string => {
  const whole = prefix + name;
  if (Buffer.byteLength(whole) <= longestName) return whole;
  const digest = `_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
  return cut(whole, longestName - digest.length) + digest;
};

/** The longest beginning of at most `bytes` bytes that splits no character. */
const cut = (text: string, bytes: number): string => {
  let end = 0;
  let used = 0;
  for (const character of text) {
    used += Buffer.byteLength(character);
    if (used > bytes) break;
    end += character.length;
  }
  return text.slice(0, end);
};
