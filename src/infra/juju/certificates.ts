/**
 * What this unit makes of its relation `certificates`. It asks for a certificate of its own in its unit bag, serves with what it is
 * answered, asks again in time before that ends, and goes on with what it has until there is an answer. Key, request and certificate
 * are in a secret of the unit: its pod may be gone tomorrow.
 */
import { randomUUID } from 'node:crypto';
import type { TlsMaterial } from '../../actors/model/workload.ts';
import { Secret } from '../../actors/model/secret.ts';
import type { RelationRef } from './environment.ts';
import type { SecretContent } from './secret-files.ts';
import type { Bag, JujuTools } from './tools.ts';
import { ancestorUnitSecretLabel, certificateOfAncestor } from './wire/taken-over.ts';
import type { UnitIdentity } from './wire/signing-request.ts';
import {
  answerIn,
  type CertificateAnswer,
  type IssuedCertificate,
  requestBag,
  requestIn,
  signsAddresses,
} from './wire/tls-certificates.ts';

export interface OwnCertificate {
  /** With what clients are served; null: without TLS. */
  readonly material: TlsMaterial | null;
  /** Why there is none, or no newer one: a sentence's part. Null: nothing is wanting. */
  readonly lacking: string | null;
  /** Wall-clock ms until which another look finds the same, while nobody tells anything new: 0 while something is awaited. */
  readonly dueAt: number;
}

interface CertificatesRelation extends RelationRef {
  /** The remote application. */
  readonly provider: string;
}

export interface CertificatesOptions {
  readonly tools: JujuTools;
  /** Null: there is no such relation, or it is going. */
  readonly relation: CertificatesRelation | null;
  /** `pgbouncer/0`. */
  readonly unit: string;
  readonly identity: UnitIdentity;
  /** A private key that an operator wants it to have; null: as it is. */
  readonly givenKey?: Secret | null;
  /** Wall-clock ms. */
  readonly now: number;
}

/** Of the unit, so other units have theirs under the same one. */
const label = 'troupe-certificate';

/** Looks once, and writes what follows: the secret, and the request in the unit bag. */
export const ownCertificate = async (options: CertificatesOptions): Promise<OwnCertificate> => {
  const { tools, relation, now, givenKey = null } = options;
  const stored = keptIn(await tools.secretGet({ label }, 'refresh'));
  if (relation === null) {
    if (stored !== null) await forget(tools);
    return { material: null, lacking: null, dueAt: Number.POSITIVE_INFINITY };
  }
  const kept = stored ?? (await takenOver(options, relation));
  const bag = await tools.readBag(relation, relation.provider, 'application');
  if (kept === null) {
    const first = await asking(options, givenKey, bag);
    await tools.secretAdd({ owner: 'unit', label, content: contentOf(first) });
    await tools.writeBag(relation, 'unit', requestBag(first.request));
    return { material: null, lacking: unanswered, dueAt: 0 };
  }
  if (givenKey !== null) {
    await keep(tools, stored, await askingAgain(options, relation, kept, bag, givenKey));
    return { material: materialOf(kept), lacking: kept.certificate === '' ? unanswered : null, dueAt: 0 };
  }
  await publish(options, relation, kept.request);
  const answer: CertificateAnswer = bag === null ? { kind: 'none' } : answerIn(kept, bag);
  switch (answer.kind) {
    case 'issued': {
      const { certificate } = answer;
      const current = {
        ...kept,
        certificate: certificate.chain,
        authorities: certificate.authorities,
        servedKey: null,
      };
      await keep(tools, stored, isDue(certificate, now) ? await askingAgain(options, relation, current, bag) : current);
      return { material: materialOf(current), lacking: null, dueAt: certificate.renewAt };
    }
    case 'revoked': {
      await keep(
        tools,
        stored,
        await askingAgain(options, relation, { ...kept, certificate: '', authorities: '', servedKey: null }, bag),
      );
      return { material: null, lacking: 'the certificate was revoked, and another one is asked for', dueAt: 0 };
    }
    case 'refused':
      await keep(tools, stored, kept);
      return {
        material: materialOf(kept),
        lacking: `the provider does not sign the request: ${answer.reason}`,
        dueAt: 0,
      };
    case 'unusable':
      await keep(tools, stored, kept);
      return {
        material: materialOf(kept),
        lacking: `the answer of the provider is of no use: ${answer.reason}`,
        dueAt: 0,
      };
    case 'none':
      // Asked anew in time, it goes on with the one it has.
      await keep(tools, stored, kept);
      return { material: materialOf(kept), lacking: kept.certificate === '' ? unanswered : null, dueAt: 0 };
  }
};

/** What the charm in whose place ours is asked for stands in the unit's bag still, and its certificate is served on while it is valid. */
const takenOver = async ({ tools, unit, now }: CertificatesOptions, relation: RelationRef): Promise<Kept | null> => {
  const content = await tools.secretGet({ label: ancestorUnitSecretLabel(unit) }, 'refresh');
  const its = content === null ? null : certificateOfAncestor(content);
  const asked = its === null ? null : requestIn((await tools.readBag(relation, unit, 'unit')) ?? {});
  if (its === null || asked !== its.request.trim()) return null;
  const { key, request, certificate } = its;
  const isValid = certificate !== null && certificate.validUntil > now;
  const [chain, authorities] = isValid ? [certificate.chain, certificate.authorities] : ['', ''];
  return { key, request, certificate: chain, authorities, servedKey: null };
};

const unanswered = 'the provider has not answered the request yet';

interface Kept {
  readonly key: Secret;
  readonly request: string;
  /** Empty before the first answer. */
  readonly certificate: string;
  readonly authorities: string;
  /** Of the certificate, where the request has been made with another one since. */
  readonly servedKey: Secret | null;
}

const keptIn = (content: SecretContent | null): Kept | null => {
  const [key, request] = [content?.['key'], content?.['request']];
  if (key === undefined || request === undefined) return null;
  const text = (name: string): string => content?.[name]?.reveal() ?? '';
  return {
    key,
    request: request.reveal(),
    certificate: text('certificate'),
    authorities: text('authorities'),
    servedKey: content?.['served-key'] ?? null,
  };
};

/** Juju keeps no empty values everywhere: what is empty is left out. */
const contentOf = ({ key, request, certificate, authorities, servedKey }: Kept): SecretContent => ({
  key,
  request: new Secret(request),
  ...(certificate === '' ? {} : { certificate: new Secret(certificate), authorities: new Secret(authorities) }),
  ...(servedKey === null ? {} : { 'served-key': servedKey }),
});

const materialOf = ({ key, certificate, authorities, servedKey }: Kept): TlsMaterial | null =>
  certificate === '' ? null : { key: servedKey ?? key, certificate, authorities };

/** Made where it is needed, since the library costs more than all else of a dispatch. */
const asking = async ({ identity }: CertificatesOptions, key: Secret | null, provider: Bag | null): Promise<Kept> => {
  const { newPrivateKey, signingRequest, subjectOf } = await import('./wire/signing-request.ts');
  const own = key ?? (await newPrivateKey());
  const subject = subjectOf(identity);
  const addresses = provider === null || signsAddresses(provider) ? subject.addresses : [];
  const request = signingRequest({ ...subject, addresses }, own, randomUUID());
  return { key: own, request, certificate: '', authorities: '', servedKey: null };
};

const askingAgain = async (
  options: CertificatesOptions,
  relation: RelationRef,
  { key: before, certificate, authorities, servedKey }: Kept,
  provider: Bag | null,
  key = before,
): Promise<Kept> => {
  const { request } = await asking(options, key, provider);
  await options.tools.writeBag(relation, 'unit', requestBag(request));
  const isServedByOther = certificate !== '' && key !== before;
  return { key, request, certificate, authorities, servedKey: servedKey ?? (isServedByOther ? before : null) };
};

const isDue = ({ renewAt }: IssuedCertificate, now: number): boolean => now >= renewAt;

/** In a relation made anew, or after the charm of another maker, our bag holds none or another one. */
const publish = async ({ tools, unit }: CertificatesOptions, relation: RelationRef, request: string): Promise<void> => {
  const bag = await tools.readBag(relation, unit, 'unit');
  if (bag !== null && requestIn(bag) !== request.trim()) await tools.writeBag(relation, 'unit', requestBag(request));
};

/** Only what is otherwise, because before Juju 3.6 equal content is a new revision, too. */
const keep = async (tools: JujuTools, before: Kept | null, after: Kept): Promise<void> => {
  if (before === null) {
    await tools.secretAdd({ owner: 'unit', label, content: contentOf(after) });
    return;
  }
  const isSame =
    before.request === after.request &&
    before.certificate === after.certificate &&
    before.authorities === after.authorities;
  const own = isSame ? null : await tools.secretInfo({ label });
  if (own !== null) await tools.secretSet(own.id, 'unit', contentOf(after));
};

const forget = async (tools: JujuTools): Promise<void> => {
  const own = await tools.secretInfo({ label });
  if (own !== null) await tools.secretRemove(own.id);
};
