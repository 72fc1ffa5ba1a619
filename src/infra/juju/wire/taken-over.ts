/**
 * What the Python charm of PgBouncer left in its bags and secrets, where this one takes its place: whoever has credentials keeps them.
 */
import { z } from 'zod';
import { identifierProblem, passwordProblem } from '../../../actors/model/names.ts';
import { type Right, rights } from '../../../actors/model/right.ts';
import { Secret } from '../../../actors/model/secret.ts';
import type { Bag } from '../tools.ts';
import type { SecretContent } from '../secret-files.ts';
import { revealed, textIn } from './bag.ts';
import { jsonIn } from './json.ts';
import { answerIn, type CertificateRequest, type IssuedCertificate } from './tls-certificates.ts';

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

/**
 * The login that a relation was answered with. `ours` is our application bag (of a legacy relation the unit's own does as well),
 * `user` the content of the secret that its `secret-user` names.
 */
export const credentialsIn = (ours: Bag, user: SecretContent | null): Credentials | null =>
  credentials(user?.['username'], user?.['password']) ??
  credentials(textIn(ours, 'username'), textIn(ours, 'password')) ??
  credentials(textIn(ours, 'user'), textIn(ours, 'password'));

/** Attributes that the login of an answered relation may have, because its client asked for them; by our copy of what it asked. */
export const rightsIn = (endpoint: string, ours: Bag): readonly Right[] => {
  if (endpoint === 'db-admin') return ['superuser'];
  const copy = jsonIn(textIn(ours, 'data'), z.looseObject({ 'extra-user-roles': z.string() }));
  const asked = (copy?.['extra-user-roles'] ?? '').split(',').map((role) => role.trim().toLowerCase());
  // Who asked for the group of administrators was let make databases.
  return rights.filter((right) => asked.includes(right) || (right === 'createdb' && asked.includes('admin')));
};

const credentials = (
  username: string | Secret | undefined,
  password: string | Secret | undefined,
): Credentials | null => {
  const [name, word] = [revealed(username), revealed(password)];
  // It made no other passwords; of others PostgreSQL and its clients may each derive another key.
  return identifierProblem('username', name) === null && passwordProblem(word) === null && /^[\x20-\x7e]+$/.test(word)
    ? { username: name, password: new Secret(word) }
    : null;
};

/** A database that it served. */
export interface ServedDatabase {
  readonly relation: number;
  readonly name: string;
  /** By `db` or `db-admin`. */
  readonly legacy: boolean;
}

export interface Ancestor {
  readonly databases: readonly ServedDatabase[];
  /** It let logins into every database: a client had asked for rights of an administrator. */
  readonly wildcard: boolean;
  /** Port that it listened on. */
  readonly port: number | null;
}

const served = z.looseObject({ name: z.string(), legacy: z.boolean().catch(false) });

/** From the application bag of the peers; null where it never was, or never served. */
export const ancestorIn = (peers: Bag): Ancestor | null => {
  const config = jsonIn(textIn(peers, 'pgb_dbs_config'), z.record(z.string(), z.unknown()));
  if (config === undefined) return null;
  const databases = Object.entries(config).flatMap(([key, value]): readonly ServedDatabase[] => {
    const database = served.safeParse(value).data;
    return database === undefined || !/^\d{1,15}$/.test(key)
      ? []
      : [{ relation: Number(key), name: database.name, legacy: database.legacy }];
  });
  const port = Number(textIn(peers, 'current_port') ?? '');
  return {
    databases,
    wildcard: Object.hasOwn(config, '*'),
    port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : null,
  };
};

/** Its own secret, shared by its units. */
export const ancestorSecretLabel = (application: string): string => `pgb-peers.${application}.app`;

/** Of each of its units, for itself. */
export const ancestorUnitSecretLabel = (unit: string): string => `pgb-peers.${unit.split('/')[0] ?? ''}.unit`;

/** With what a unit of it served TLS; null where it never asked for a certificate. */
export const certificateOfAncestor = (
  content: SecretContent,
): (CertificateRequest & { readonly certificate: IssuedCertificate | null }) | null => {
  const text = (name: string): string => (revealed(content[name]) === removed ? '' : revealed(content[name]));
  const [key, request] = [text('key'), text('csr')];
  if (key === '' || request === '') return null;
  // As a provider would have told it.
  const answer = {
    certificate_signing_request: request,
    certificate: text('cert'),
    ca: text('cauth'),
    chain: text('chain').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [],
  };
  const asked = { key: new Secret(key), request };
  const read = answerIn(asked, { certificates: JSON.stringify([answer]) });
  return { ...asked, certificate: read.kind === 'issued' ? read.certificate : null };
};

/** The value of what was taken away. */
const removed = 'None';

/** Logins of its auth file and what PgBouncer compared their passwords with. A value `None` was removed. */
export const authFileIn = (content: SecretContent): ReadonlyMap<string, Secret> => {
  const text = revealed(content['auth-file']);
  const lines = text === removed ? [] : text.slice(0, longestAuthFile).split('\n');
  return new Map(
    lines.flatMap((line) => {
      const [, name, secret] = /^\s*"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"/.exec(line) ?? [];
      return name === undefined || secret === undefined
        ? []
        : [[name.replaceAll('""', '"'), new Secret(secret.replaceAll('""', '"'))] as const];
    }),
  );
};
const longestAuthFile = 1024 * 1024;
