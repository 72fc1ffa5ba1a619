import { clientRoles, databaseProblem } from '../../../actors/model/names.ts';
import { quoted } from '../../../actors/model/quoted.ts';
import type { RelationId } from '../../../actors/model/ids.ts';

/** A database and a login that a client asks for. */
export interface ClientRequest {
  /** The client's own, of v1; null where one relation is one request. */
  readonly requestId: string | null;
  readonly id: RelationId;
  readonly database: string;
  /** Sorted, in lower case, no duplicates. */
  readonly extraUserRoles: readonly string[];
}

/** What is not done of what a client asks. */
export interface Refusal {
  readonly requestId: string | null;
  /** In thousands: 4 may pass, 5 means that the relation must go. One of a kind stands in a bag at a time. */
  readonly code: number;
  /** For the status of a unit: names the relation. */
  readonly reason: string;
  readonly resolution: string;
}

/** Everything of one relation. A request that was answered is served on as it was first asked, whatever was written since. */
export interface Asked {
  readonly requests: readonly ClientRequest[];
  readonly refusals: readonly Refusal[];
}

export const nothingAsked: Asked = { requests: [], refusals: [] };

export const refusalCodes = {
  /** Nothing here could serve it. */
  unsupported: 5001,
  /** What is fixed for the life of a request was changed. */
  changed: 5002,
  /** It does not follow the interface. */
  unreadable: 5003,
  /** Juju is too old for it. */
  secretless: 5004,
} as const;

const removeAndRelate = 'remove the relation, and relate again with what is served';

export const unsupported = (requestId: string | null, where: string, reason: string): Refusal => ({
  requestId,
  code: refusalCodes.unsupported,
  reason: `${where} asks for what is not served: ${reason}; ${removeAndRelate}`,
  resolution: removeAndRelate,
});

export const changedSince = (requestId: string | null, where: string, fields: readonly string[]): Refusal => {
  const resolution = 'write what stood there before, or remove the relation and relate again';
  return {
    requestId,
    code: refusalCodes.changed,
    reason: `${where} has changed its ${fields.join(', ')}: these are fixed once they are answered, so it is served as it was first asked; ${resolution}`,
    resolution,
  };
};

export const unreadable = (requestId: string | null, where: string, reason: string): Refusal => {
  const resolution = 'mend or update the charm on the other side';
  return {
    requestId,
    code: refusalCodes.unreadable,
    reason: `${where} cannot be read: ${reason}, so nothing changes for what was answered; ${resolution}`,
    resolution,
  };
};

/** What a client said in either version, by the names of v1. */
export interface Said {
  readonly resource: string;
  readonly userRoles: string;
  readonly groupRoles: string;
  readonly entityType: string;
  /** Of a secret with the name of a login that the client chose itself. */
  readonly entitySecret: string;
  readonly prefixMatching: string;
}

/** What may not change: the words as they stand, so that a library would call the same things changed. */
export const fixedFields = [
  ['resource', 'database'],
  ['userRoles', 'extra-user-roles'],
  ['groupRoles', 'extra-group-roles'],
  ['entityType', 'entity-type'],
] as const satisfies readonly (readonly [keyof Said, string])[];

const rolesOf = (text: string): readonly string[] =>
  [...new Set(text.split(',').map((role) => role.trim().toLowerCase()))].filter((role) => role !== '').toSorted();

/** Why a request that was never answered is not served, or null. What one was given that was answered, it keeps. */
const problemOf = (said: Said): string | null => {
  if (said.entityType !== '' || said.groupRoles !== '')
    return 'roles of its own making (entity-type, extra-group-roles) are not made here';
  if (said.entitySecret !== '') return 'the name of its login cannot be chosen (requested-entity-secret)';
  if (said.prefixMatching !== '') return 'databases are not matched by a prefix (prefix-matching)';
  const strange = rolesOf(said.userRoles).find((role) => !clientRoles.includes(role));
  if (strange !== undefined)
    return `role ${quoted(strange)} is not given to clients, extra-user-roles may be ${clientRoles.join(' and ')}`;
  return databaseProblem(said.resource);
};

/** One that was answered keeps what of it can be served; null when that is nothing. */
const requestOf = (id: RelationId, requestId: string | null, { resource, userRoles }: Said): ClientRequest | null =>
  databaseProblem(resource) === null
    ? {
        requestId,
        id,
        database: resource,
        extraUserRoles: rolesOf(userRoles).filter((role) => clientRoles.includes(role)),
      }
    : null;

/** Of one request: what it says now (null: it cannot be read, which was told already), and what it said when it was answered (null: it never was). */
export const judged = (
  { id, requestId, where }: { readonly id: RelationId; readonly requestId: string | null; readonly where: string },
  said: Said | null,
  first: Said | null,
): Asked => {
  const basis = first ?? said;
  const problem = basis === null ? null : first === null ? problemOf(basis) : databaseProblem(basis.resource);
  const request = basis === null || (first === null && problem !== null) ? null : requestOf(id, requestId, basis);
  const changes =
    first === null || said === null
      ? []
      : fixedFields.flatMap(([key, name]) => (said[key] === first[key] ? [] : [name]));
  return {
    requests: request === null ? [] : [request],
    refusals: [
      ...(problem === null ? [] : [unsupported(requestId, where, problem)]),
      ...(changes.length === 0 ? [] : [changedSince(requestId, where, changes)]),
    ],
  };
};
