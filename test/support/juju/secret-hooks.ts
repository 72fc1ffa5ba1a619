/** What a unit is told about secrets: a new revision, an old one that nobody reads, time to rotate, and the end of its time. */
import { type Hook, plain, type SecretThing, type Unit } from './things.ts';
import type { World } from './world.ts';

/** Of the secrets that this unit reads, or answers for. */
export const secretHook = (unit: Unit, { secrets, now, passed }: World): Hook | null => {
  if (!unit.done.installed) return null;
  for (const secret of secrets.values()) {
    const owns =
      secret.owner.name === unit.name ||
      (secret.owner.kind === 'application' && secret.owner.name === unit.application.name);
    const consumer = secret.consumers.get(unit.name);
    if (!owns && consumer !== undefined && consumer.tracked < secret.latest && consumer.told < secret.latest) {
      const { latest } = secret;
      return plain(
        'secret-changed',
        () => {
          consumer.told = latest;
        },
        { JUJU_SECRET_ID: `secret:${secret.xid}`, JUJU_SECRET_LABEL: consumer.label },
      );
    }
    const answers = owns && (secret.owner.kind === 'unit' || unit.application.leader === unit.name);
    const about = { JUJU_SECRET_ID: `secret:${secret.xid}`, JUJU_SECRET_LABEL: secret.label };
    const { rotation, expiry } = secret;
    if (answers && rotation !== null && rotation.dueAt <= now && rotation.told < passed) {
      return plain(
        'secret-rotate',
        () => {
          rotation.told = passed;
        },
        about,
      );
    }
    if (answers && expiry !== null && expiry.at <= now && expiry.told < passed) {
      return plain(
        'secret-expired',
        () => {
          expiry.told = passed;
        },
        { ...about, JUJU_SECRET_REVISION: String(secret.latest) },
      );
    }
    const obsolete = answers ? obsoleteRevisionOf(secret) : null;
    if (obsolete !== null) {
      return plain('secret-remove', () => secret.toldObsolete.add(obsolete), {
        ...about,
        JUJU_SECRET_REVISION: String(obsolete),
      });
    }
  }
  return null;
};

/** One that nobody tracks any more, and that is not the newest. */
const obsoleteRevisionOf = (secret: SecretThing): number | null => {
  const tracked = new Set([...secret.consumers.values()].map((consumer) => consumer.tracked));
  const found = [...secret.revisions.keys()].find(
    (revision) => revision !== secret.latest && !tracked.has(revision) && !secret.toldObsolete.has(revision),
  );
  return found ?? null;
};
