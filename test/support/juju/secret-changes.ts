/** Secrets as hooks change them: staged while the hook runs, kept when it has ended well. */
import { ImpossibleInJuju } from './charm.ts';
import { sameValues } from './next-hook.ts';
import type { SecretThing, Unit, Values } from './things.ts';
import type { Store } from './world.ts';

/** A staged change of a secret. `content` null: only what is said about it changes. */
export type SecretChange =
  | { readonly type: 'add'; readonly secret: SecretThing }
  | {
      readonly type: 'set';
      readonly xid: string;
      readonly content: Values | null;
      readonly label: string | null;
      readonly description: string | null;
      /** Null: as it was. */
      readonly rotation: SecretThing['rotation'];
      readonly expiry: SecretThing['expiry'];
    }
  | { readonly type: 'grant'; readonly xid: string; readonly relation: number; readonly to: string }
  | { readonly type: 'revoke'; readonly xid: string; readonly from: (grant: SecretThing['grants'][number]) => boolean }
  | { readonly type: 'remove'; readonly xid: string; readonly revision: number | null }
  | { readonly type: 'track'; readonly xid: string };

/** What a hook that ended well staged. */
export const applyToSecrets = (
  change: SecretChange,
  {
    store,
    unit,
    secretChanges,
  }: { readonly store: Store; readonly unit: Unit; readonly secretChanges: readonly SecretChange[] },
): void => {
  if (change.type === 'add') {
    store.secrets.set(change.secret.xid, change.secret);
    return;
  }
  const secret = store.secrets.get(change.xid);
  if (secret === undefined) {
    if (change.type === 'track') return;
    throw new ImpossibleInJuju(`secret ${change.xid} went away during a hook`);
  }
  switch (change.type) {
    case 'set':
      if (change.label !== null) secret.label = change.label;
      if (change.description !== null) secret.description = change.description;
      if (change.rotation !== null) secret.rotation = change.rotation;
      if (change.expiry !== null) secret.expiry = change.expiry;
      if (change.content === null) return;
      if (secretChanges.some((added) => added.type === 'add' && added.secret === secret))
        secret.revisions.set(secret.latest, change.content);
      else addRevision(secret, change.content, store);
      return;
    case 'grant':
      if (!secret.grants.some(({ to, relation }) => to === change.to && relation === change.relation))
        secret.grants = [...secret.grants, { to: change.to, relation: change.relation }];
      return;
    case 'revoke':
      secret.grants = secret.grants.filter((grant) => !change.from(grant));
      return;
    case 'remove':
      if (change.revision !== null) secret.revisions.delete(change.revision);
      if (change.revision === secret.latest) secret.expiry = null;
      if (change.revision === null || secret.revisions.size === 0) store.secrets.delete(secret.xid);
      return;
    case 'track': {
      const consumer = secret.consumers.get(unit.name);
      if (consumer !== undefined) Object.assign(consumer, { tracked: secret.latest, told: secret.latest });
      return;
    }
  }
};

/** Since 3.6 equal content is no new revision. */
const addRevision = (secret: SecretThing, content: Values, { version: [major, minor], now }: Store): void => {
  const newest = secret.revisions.get(secret.latest);
  if (newest !== undefined && sameValues(newest, content) && (major > 3 || minor >= 6)) return;
  secret.latest += 1;
  secret.revisions.set(secret.latest, content);
  if (secret.rotation !== null && secret.rotation.periodMs > 0)
    secret.rotation.dueAt = now().getTime() + secret.rotation.periodMs;
};
