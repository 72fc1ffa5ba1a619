/** PostgreSQL as the charm that provides it tells of it, on the one relation there is to it. */
import { randomBytes } from 'node:crypto';
import type { BackendServer } from '../../../actors/model/backend.ts';
import type { RelationId, UnitName } from '../../../actors/model/ids.ts';
import { applicationOf } from '../../../actors/model/ids.ts';
import type { RelationRef } from '../environment.ts';
import type { SecretContent } from '../secret-files.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag } from '../tools.ts';
import { backendAnswerIn, backendOf, type BackendReading, backendRequest, type SecretToRead } from '../wire/backend.ts';
import type { Asking } from './intent.ts';
import type { Reading } from './reading.ts';

export const backendEndpoint = 'backend-database';

export interface BackendRelation {
  readonly relation: RelationRef;
  readonly reading: BackendReading;
  /** What our side lacks of the request. */
  readonly request: Bag;
}

/** Null where no PostgreSQL is related. */
export const readBackend = async (reading: Reading, unit: UnitName): Promise<BackendRelation | null> => {
  const [related] = await reading.of(backendEndpoint);
  if (related === undefined) return null;
  const { relation, remoteApplication } = related;
  const theirs = await reading.bag(relation, remoteApplication, 'application');
  const ours = await reading.bag(relation, applicationOf(unit), 'application');
  if (theirs === null || ours === null) return null;
  const request = backendRequest(ours, randomBytes(8).toString('hex'));
  return { relation, reading: await answered(reading, relation, { theirs, ours }), request };
};

const answered = async (
  reading: Reading,
  relation: RelationRef,
  bags: { readonly theirs: Bag; readonly ours: Bag },
): Promise<BackendReading> => {
  const answer = backendAnswerIn({ ...relation, ...bags });
  const { user, tls } = answer.kind === 'answered' ? answer.secrets : {};
  const contents = {
    ...(user === undefined ? {} : { user: await granted(reading, user) }),
    ...(tls === undefined ? {} : { tls: await granted(reading, tls) }),
  };
  return backendOf(relation, answer, contents);
};

/** Where it is, as every unit can see it that was answered in the first version: its primary comes first. */
export const primarySeen = async (reading: Reading): Promise<BackendServer | null> => {
  const [related] = await reading.of(backendEndpoint);
  const theirs =
    related === undefined ? null : await reading.bag(related.relation, related.remoteApplication, 'application');
  if (related === undefined || theirs === null) return null;
  const found = await answered(reading, related.relation, { theirs, ours: {} });
  const [, host = '', port = ''] =
    /^(.*):(\d+)$/.exec(found.kind === 'found' ? (found.backend.endpoints[0] ?? '') : '') ?? [];
  return host === '' ? null : { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
};

/** The grant may come later than the id that the bag names: then the next hook tries again. */
const granted = async (reading: Reading, { uri, label }: SecretToRead): Promise<SecretContent | null> => {
  try {
    return await reading.secret(uri, label);
  } catch (cause) {
    if (cause instanceof ToolRefusal && cause.kind === 'forbidden') return null;
    throw cause;
  }
};

/** What it means for the intent. Who has answered once and cannot be read just now is still there. */
export const backendAsked = (related: BackendRelation | null): Asking['backend'] => {
  if (related === null) return null;
  const { relation, reading } = related;
  const id = relation.id as RelationId;
  if (reading.kind !== 'found') return { held: id };
  const { endpoints, username, password, maintenanceDatabase } = reading.backend;
  return { id, endpoints, username, password, maintenanceDatabase };
};
