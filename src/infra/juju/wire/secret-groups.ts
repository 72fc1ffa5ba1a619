import type { Databag } from '../../../actors/model/snapshot.ts';
import { Secret } from '../../../actors/model/secret.ts';
import type { RelationRef } from '../environment.ts';
import type { SecretContent } from '../secret-files.ts';
import type { Bag } from '../tools.ts';
import { textIn } from './bag.ts';

/** A secret of the provider holds the values of one group. Where it is, the bag says under `secret-<group>`. */
export const secretFields = {
  user: ['username', 'password', 'uris', 'read-only-uris'],
  tls: ['tls', 'tls-ca'],
} as const;
export type SecretGroup = keyof typeof secretFields;
export const secretGroups: readonly SecretGroup[] = ['user', 'tls'];
export const secretKeyOf = (group: string): string => `secret-${group}`;

/** Groups that a library may have published before us. */
const everyGroup = [...secretGroups, 'entity', 'extra'] as const;

/** Both sides know a secret by this label; requests of v1 have secrets of their own. */
export const secretLabelOf = ({ endpoint, id }: RelationRef, requestId: string | null, group: string): string =>
  [endpoint, String(id), ...(requestId === null ? [] : [requestId]), group, 'secret'].join('.');

/** A secret that is to be there, granted to the relation, with exactly this content. */
export interface WantedSecret {
  readonly label: string;
  readonly content: SecretContent;
}

/** Of an answer; nothing for a group of which it says nothing. */
export const wantedSecret = (
  relation: RelationRef,
  requestId: string | null,
  group: SecretGroup,
  answer: Databag,
): readonly WantedSecret[] => {
  const content = Object.fromEntries(
    secretFields[group].flatMap((field) => {
      const value = answer[field];
      return value === undefined ? [] : [[field, typeof value === 'string' ? new Secret(value) : value] as const];
    }),
  );
  if (Object.keys(content).length === 0) return [];
  // Clients look for a CA, and an empty one says that there is none.
  const whole = group === 'tls' ? { 'tls-ca': new Secret(''), ...content } : content;
  return [{ label: secretLabelOf(relation, requestId, group), content: whole }];
};

/** Labels of the secrets that an answer names: flat in a bag, or one response of v1. */
export const labelsNamedIn = (relation: RelationRef, requestId: string | null, answer: Bag): readonly string[] =>
  everyGroup.flatMap((group) =>
    textIn(answer, secretKeyOf(group)) === undefined ? [] : [secretLabelOf(relation, requestId, group)],
  );
