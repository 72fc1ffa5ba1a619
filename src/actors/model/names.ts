/**
 * What may be the name of something: what is accepted means the same in PgBouncer's files, in PostgreSQL, in JSON and on a screen;
 * everything else is refused here, with a sentence.
 */
import { readOnlySuffix } from './fleet-spec.ts';
import { quoted } from './quoted.ts';

/** As Juju names applications; short enough that a login made from it fits PostgreSQL's 63 bytes. */
const relationName = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
/** Every object of JavaScript has these: a name is a key, here and wherever JSON is read. */
const namesOfObjects: ReadonlySet<string> = new Set(['constructor', 'prototype']);

export const relationNameProblem = (name: string): string | null => {
  if (!relationName.test(name))
    return `relation name ${quoted(name)} must be 1 to 40 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen`;
  return namesOfObjects.has(name)
    ? `relation name "${name}" is a word of its own wherever JSON is read: choose another one`
    : null;
};

/** `host:port`, with everything that has several spellings in one only: the resolvers of PgBouncer, libc and Node differ there. */
export const endpointProblem = (endpoint: string): string | null => {
  const [, host = '', port = ''] = /^(.*):([^:]*)$/s.exec(endpoint) ?? [];
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535)
    return `endpoint ${quoted(endpoint)} must be host:port with a port from 1 to 65535`;
  const address = /^\[([0-9A-Fa-f:.]+)\]$/.exec(host)?.[1];
  if (address !== undefined)
    return URL.canParse(`http://[${address}]/`) && !/^[0:.]*$/.test(address)
      ? null
      : `endpoint ${quoted(endpoint)} has no IPv6 address of a server in its brackets`;
  if (!isHostName(host))
    return `endpoint ${quoted(endpoint)} does not name a host (IPv6 addresses go in brackets, without a zone)`;
  // What ends in a number is taken for an IPv4 address, in as many ways as there are programs.
  const endsInNumber = /(?:^|\.)(?:\d+|0[xX][0-9A-Fa-f]*)$/.test(host);
  return endsInNumber && !(ipv4.test(host) && host !== '0.0.0.0')
    ? `endpoint ${quoted(endpoint)} has no host name and no IPv4 address of a server (four numbers from 0 to 255 without leading zeros)`
    : null;
};

const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);
/** Underscores are in no host name of the Internet, and in many of containers. */
const isHostName = (host: string): boolean =>
  host.length <= 253 &&
  host.split('.').every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/.test(label));

/** Equal for endpoints that are the same one, however they are written. */
export const endpointKey = (endpoint: string): string =>
  endpoint.startsWith('[') ? new URL(`http://${endpoint}/`).host : endpoint.toLowerCase();

/** A name that PostgreSQL has, whoever made it. */
export const identifierProblem = (what: string, text: string): string | null => {
  if (text === '') return `the ${what} is empty: name one`;
  if (/[\p{Cc}\u2028\u2029]/u.test(text) || !text.isWellFormed())
    return `the ${what} holds control characters or half a character: write it without`;
  return new TextEncoder().encode(text).length > 63
    ? `the ${what} is longer than PostgreSQL's 63 bytes: choose a shorter one`
    : null;
};

/** Rights besides its database that a client's login may have: PostgreSQL lets whoever has them hand them on. */
export const clientRoles: readonly string[] = ['createdb', 'createrole'];

/** Goes over the wire as a text that ends at the first zero byte. */
export const passwordProblem = (text: string): string | null => {
  if (text === '') return 'the password is empty: give the one that PostgreSQL has for this login';
  if (text.length > 1_000) return 'the password is longer than 1000 characters: give the login a shorter one';
  return text.includes('\0') || !text.isWellFormed()
    ? 'the password holds a zero byte or half a character: give the login one of whole characters'
    : null;
};

/** What every supported PgBouncer can name in its ini file (1.25 and later could do more). */
const databaseName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/;
const reservedDatabases: ReadonlySet<string> = new Set(['pgbouncer', 'postgres', 'template0', 'template1']);

export const databaseProblem = (database: string): string | null => {
  if (!databaseName.test(database))
    return `database ${quoted(database)} must be 1 to 63 letters, digits, _ . or -, and not begin with . or - (other names cannot be written in PgBouncer's configuration)`;
  if (database.endsWith(readOnlySuffix))
    return `database "${database}" would take the name under which "${database.slice(0, -readOnlySuffix.length)}" is read from standbys: choose one that does not end in ${readOnlySuffix}`;
  return reservedDatabases.has(database) || database.startsWith('troupe_')
    ? `database "${database}" is reserved for PostgreSQL, PgBouncer or Troupe itself: choose another one`
    : null;
};
