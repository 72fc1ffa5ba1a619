/**
 * Our side of `postgresql_client` towards PostgreSQL, as requirer on `backend-database`. The request is written in both versions of
 * the interface at once, each provider reads its own; whichever answer comes is read. The names of what is asked for, and the salt
 * that makes the id of the request, stay the same for the life of a relation: a provider refuses another one, or serves it twice.
 */
import { z } from 'zod';
import type { BackendIntent } from '../../../actors/model/intent.ts';
import { endpointKey, endpointProblem, identifierProblem, passwordProblem } from '../../../actors/model/names.ts';
import { quoted } from '../../../actors/model/quoted.ts';
import { Secret } from '../../../actors/model/secret.ts';
import type { Bag } from '../tools.ts';
import type { SecretContent } from '../secret-files.ts';
import { changesTo, revealed, textIn, textsOf } from './bag.ts';
import { requestIdOf, responsesIn } from './client-v1.ts';
import { jsonIn } from './json.ts';
import type { RelationRef } from '../environment.ts';
import { type SecretGroup, secretKeyOf, secretLabelOf } from './secret-groups.ts';
import { isSecretId } from '../secret-id.ts';

/** What PostgreSQL is asked for: a database to administer from, and a login that can make others and look passwords up. */
const wanted = { database: 'pgbouncer', roles: 'SUPERUSER' };

const requestedSecrets = [
  'username',
  'password',
  'tls',
  'tls-ca',
  'uris',
  'read-only-uris',
  'entity-name',
  'entity-password',
];

/**
 * What to write into our application bag. `salt` is kept by the caller, made once for the relation. One that was begun in the first
 * version alone, by the charm that was here before, stays so: its provider answers in that version and would break on the other.
 */
export const backendRequest = (ours: Bag, salt: string): Bag => {
  const begun = textIn(ours, 'database') !== undefined;
  const plain = {
    database: textIn(ours, 'database') ?? wanted.database,
    'extra-user-roles': textIn(ours, 'extra-user-roles') ?? wanted.roles,
    'requested-secrets': textIn(ours, 'requested-secrets') ?? JSON.stringify(requestedSecrets),
    'provided-secrets': textIn(ours, 'provided-secrets') ?? JSON.stringify(['mtls-cert']),
  };
  if (begun && textIn(ours, 'requests') === undefined) return changesTo(ours, plain, Object.keys(plain));
  const { database } = plain;
  const request = {
    resource: database,
    'request-id': requestIdOf(database, salt),
    salt,
    'extra-user-roles': plain['extra-user-roles'],
    'extra-group-roles': null,
    'external-node-connectivity': false,
    'entity-type': null,
    'entity-permissions': null,
    'secret-mtls': null,
    'mtls-cert': null,
    'secret-requested-entity': null,
    'entity-name': null,
    password: null,
    'prefix-matching': null,
    'entity-password': null,
  };
  const whole = { ...plain, version: 'v1', requests: textIn(ours, 'requests') ?? JSON.stringify([request]) };
  return changesTo(ours, whole, Object.keys(whole));
};

/** A secret to read: by this address at first, giving it this label, which events name it by. */
export interface SecretToRead {
  readonly uri: string;
  readonly label: string;
}
export type SecretsToRead = Readonly<Partial<Record<SecretGroup, SecretToRead>>>;

export type BackendAnswer =
  | { readonly kind: 'waiting'; readonly reason: string }
  | {
      readonly kind: 'answered';
      readonly secrets: SecretsToRead;
      /** What stands in the bag itself, by the names of the interface. */
      readonly plain: Bag;
    };

const waiting = (reason: string): BackendAnswer & { readonly kind: 'waiting' } => ({ kind: 'waiting', reason });
/** In the words of the charm that was here before. */
const notInitialised = 'waiting for backend database relation to initialise';

const plainFields = ['endpoints', 'read-only-endpoints', 'version', 'username', 'password', 'tls', 'tls-ca'] as const;

/** What the provider wrote, in either version. */
export const backendAnswerIn = (
  relation: RelationRef & { readonly theirs: Bag; readonly ours: Bag },
): BackendAnswer => {
  const { theirs, ours } = relation;
  const requestId = textIn(theirs, 'requests') === undefined ? null : ownRequestIdIn(ours);
  const answer = requestId === null ? theirs : textsOf(responsesIn(theirs).get(requestId) ?? {});
  const secrets = Object.fromEntries(
    (['user', 'tls'] as const).flatMap((group) => {
      const uri = textIn(answer, secretKeyOf(group));
      return uri === undefined || !isSecretId(uri)
        ? []
        : [[group, { uri, label: secretLabelOf(relation, requestId, group) }] as const];
    }),
  );
  const hasLogin = Object.hasOwn(secrets, 'user') || (requestId === null && textIn(answer, 'password') !== undefined);
  if (!hasLogin) return waiting(notInitialised);
  if (textIn(answer, 'endpoints') === undefined)
    return waiting(
      `waiting for the backend database of relation ${relation.endpoint}:${relation.id} to say where it is`,
    );
  const database = textIn(answer, 'database') ?? textIn(answer, 'resource') ?? textIn(ours, 'database');
  return {
    kind: 'answered',
    secrets,
    plain: {
      database: database ?? wanted.database,
      ...Object.fromEntries(plainFields.map((field) => [field, textIn(answer, field) ?? ''])),
    },
  };
};

const ownRequestIdIn = (ours: Bag): string | null =>
  jsonIn(textIn(ours, 'requests'), z.array(z.looseObject({ 'request-id': z.string() })))?.[0]?.['request-id'] ?? null;

/** The backend as the intent has it, but for what the fleet knows of it. */
export interface BackendFound extends Omit<BackendIntent, 'id' | 'cluster'> {
  /** As the provider tells it; null where it does not. */
  readonly version: string | null;
  /** Null: it is in a secret that cannot be read yet. */
  readonly tls: { readonly enabled: boolean; readonly ca: string | null } | null;
}

export type BackendReading =
  | { readonly kind: 'found'; readonly backend: BackendFound }
  | { readonly kind: 'waiting'; readonly reason: string }
  /** Somebody must mend it. */
  | { readonly kind: 'refused'; readonly reason: string };

const mostEndpoints = 16;

/** `contents` of the secrets that the answer names; null for one that cannot be read yet, although the address is there. */
export const backendOf = (
  relation: RelationRef,
  answer: BackendAnswer,
  contents: Readonly<Partial<Record<SecretGroup, SecretContent | null>>>,
): BackendReading => {
  if (answer.kind === 'waiting') return answer;
  const where = `the backend database of relation ${relation.endpoint}:${relation.id}`;
  const { plain, secrets } = answer;
  const user = secrets.user === undefined ? plain : contents.user;
  if (!user) return waiting(`waiting for ${where} to grant the secret with its login`);
  const [username, password] = [revealed(user['username']), revealed(user['password'])];
  const tls = secrets.tls === undefined ? plain : contents.tls;
  const endpoints = candidates(`${plain['endpoints'] ?? ''},${plain['read-only-endpoints'] ?? ''}`);
  const database = plain['database'] ?? '';
  const problem =
    identifierProblem('username', username) ??
    passwordProblem(password) ??
    identifierProblem('database', database) ??
    endpointsProblem(endpoints);
  if (problem !== null)
    return { kind: 'refused', reason: `${where} told what cannot be used: ${problem}; see to the charm there` };
  return {
    kind: 'found',
    backend: {
      endpoints,
      username,
      password: new Secret(password),
      maintenanceDatabase: database,
      version: textIn(plain, 'version') ?? null,
      tls: tls ? tlsIn(tls) : null,
    },
  };
};

/** Charms write Python's words, JSON's, and those in quotes. */
const tlsIn = (content: SecretContent | Bag): BackendFound['tls'] => {
  const ca = revealed(content['tls-ca']);
  return { enabled: /^"?true"?$/i.test(revealed(content['tls'])), ca: ca === '' ? null : ca };
};

/** The primary's first; each server once, however it is written. */
const candidates = (list: string): readonly string[] => {
  const byKey = new Map<string, string>();
  for (const endpoint of list.split(',').map((one) => one.trim())) {
    const key = keyOf(endpoint);
    if (endpoint !== '' && !byKey.has(key)) byKey.set(key, endpoint);
  }
  return [...byKey.values()];
};
const keyOf = (endpoint: string): string => (endpointProblem(endpoint) === null ? endpointKey(endpoint) : endpoint);

const endpointsProblem = (endpoints: readonly string[]): string | null => {
  if (endpoints.length === 0) return 'no endpoint is named';
  if (endpoints.length > mostEndpoints)
    return `${quoted(endpoints[mostEndpoints] ?? '')} is one of more than ${mostEndpoints} endpoints`;
  return endpoints.map(endpointProblem).find((reason) => reason !== null) ?? null;
};
