/**
 * The requirer's side of the interface `tls-certificates`, as texts in bags. Each unit asks in its own unit bag, and all answers of a
 * provider are one list in its application bag: an answer is ours when it repeats our signing request, text for text. What the entries
 * of others hold, and what does not belong in such a list, is no matter of ours.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { Secret } from '../../../actors/model/secret.ts';

type Bag = Readonly<Record<string, string>>;

/** What a unit asks for: the signing request in PEM, and the private key that it was made with. */
export interface CertificateRequest {
  readonly request: string;
  readonly key: Secret;
}

/** A certificate as it is to be served. All are PEM and end with a line break. */
export interface IssuedCertificate {
  /** The certificate and those between it and the authority, in the order of a handshake. */
  readonly chain: string;
  /** Whom clients are to trust: what signed the certificate, up to the authority. No certificate of a unit is among them. */
  readonly authorities: string;
  /** Wall-clock ms. */
  readonly validFrom: number;
  readonly validUntil: number;
  /** When to ask for the next one, wall-clock ms. */
  readonly renewAt: number;
}

export type CertificateAnswer =
  /** The provider has not answered this request. */
  | { readonly kind: 'none' }
  | { readonly kind: 'issued'; readonly certificate: IssuedCertificate }
  | { readonly kind: 'revoked' }
  /** The provider will not sign this request; in its words. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** There is an answer, and it is of no use. What was in use before stays. */
  | { readonly kind: 'unusable'; readonly reason: string };

/** What belongs into our unit bag. `ca` has to be there: newer providers ignore the whole bag without it. An empty text removes the key. */
export const requestBag = (request: string | null): Bag => ({
  certificate_signing_requests:
    request === null ? '' : JSON.stringify([{ certificate_signing_request: request.trim(), ca: false }]),
});

/** What was asked for last, from our own unit bag; null when it asks for nothing, or holds no list that we wrote. */
export const requestIn = (unitBag: Bag): string | null => {
  const [entry] = entriesIn(unitBag['certificate_signing_requests']);
  const asked = z.looseObject({ certificate_signing_request: pem }).safeParse(entry);
  return asked.success ? asked.data.certificate_signing_request : null;
};

/** What the application bag of a provider says to a request of ours. */
export const answerIn = ({ request, key }: CertificateRequest, applicationBag: Bag): CertificateAnswer => {
  const ours = entriesIn(applicationBag['certificates']).find((entry) => isAbout(entry, request));
  if (ours !== undefined) return answerOf(ours, key);
  const error = entriesIn(applicationBag['request_errors']).find((entry) => isErrorAbout(entry, request));
  return error === undefined ? { kind: 'none' } : { kind: 'refused', reason: errorWords(error) };
};

/** Whether a provider signs requests for addresses as well; who does not say does, as all did before they could say. */
export const signsAddresses = (applicationBag: Bag): boolean => {
  const told = z.looseObject({ supports_ip_sans: z.boolean() }).safeParse(jsonIn(applicationBag['capabilities']));
  return !told.success || told.data.supports_ip_sans;
};

/** No chain is as long, and no list of a fleet; what is longer is not read. */
const longestText = 4 * 1024 * 1024;

const jsonIn = (text: string | undefined): unknown => {
  if (text === undefined || text.length > longestText) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const entriesIn = (text: string | undefined): readonly unknown[] => {
  const entries = jsonIn(text);
  return Array.isArray(entries) ? entries : [];
};

const pem = z.string().transform((text) => text.trim());
const about = z.looseObject({ certificate_signing_request: pem });
const isAbout = (entry: unknown, request: string): boolean => {
  const its = about.safeParse(entry);
  return its.success && its.data.certificate_signing_request === request.trim();
};

const errorAbout = z.looseObject({ csr: pem });
const isErrorAbout = (entry: unknown, request: string): boolean => {
  const its = errorAbout.safeParse(entry);
  return its.success && its.data.csr === request.trim();
};

const errorShape = z.looseObject({
  error: z.looseObject({ name: z.string().optional(), message: z.string().optional() }).optional(),
  reason: z.string().nullish(),
});
const errorWords = (entry: unknown): string => {
  const { error, reason } = errorShape.safeParse(entry).data ?? {};
  const words = [error?.name, error?.message, reason].flatMap((word) => oneLine(word ?? ''));
  return words.length === 0 ? 'it does not say why' : words.join(': ');
};

/** Others' words become part of a status line. */
const oneLine = (text: string): readonly string[] => {
  const line = text.replaceAll(/[\s\p{C}]+/gu, ' ').trim();
  return line === '' ? [] : [line.slice(0, 200)];
};

const revokedShape = z.looseObject({ revoked: z.literal(true) });
const answerShape = z.looseObject({
  certificate: pem,
  ca: pem,
  chain: z.array(pem).nullish(),
  recommended_expiry_notification_time: z.number().positive().nullish().catch(null),
});

const answerOf = (entry: unknown, key: Secret): CertificateAnswer => {
  if (revokedShape.safeParse(entry).success) return { kind: 'revoked' };
  const { data } = answerShape.safeParse(entry);
  if (data === undefined) return unusable('it lacks a certificate, or the authority that signed it');
  const leaf = certificateIn(data.certificate);
  const authority = certificateIn(data.ca);
  const chain = (data.chain ?? []).map(certificateIn);
  if (leaf === null || authority === null || chain.includes(null))
    return unusable('what it holds is no certificate in PEM');
  if (!fits(leaf, key)) return unusable('the certificate is of another key than ours');
  const above = [...chain.flatMap((one) => one ?? []), authority].filter(
    (one, index, all) => !isSame(one, leaf) && index === all.findIndex((other) => isSame(one, other)),
  );
  const between = pathFrom(leaf, above);
  const [validFrom, validUntil] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const hint = data.recommended_expiry_notification_time ?? null;
  return {
    kind: 'issued',
    certificate: {
      chain: [leaf, ...between].map(textOf).join(''),
      authorities: (above.length === 0 ? [leaf] : above).map(textOf).join(''),
      validFrom,
      validUntil,
      renewAt: validUntil - renewalMs(validUntil - validFrom, hint),
    },
  };
};

const unusable = (reason: string): CertificateAnswer => ({ kind: 'unusable', reason });

const certificateIn = (text: string): X509Certificate | null => {
  try {
    return new X509Certificate(text);
  } catch {
    return null;
  }
};

const fits = (certificate: X509Certificate, key: Secret): boolean => {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key.reveal()));
  } catch {
    return false;
  }
};

const isSame = (a: X509Certificate, b: X509Certificate): boolean => a.fingerprint256 === b.fingerprint256;

/** Whoever signed the last one, until an authority that signed itself: that one clients have. */
const pathFrom = (leaf: X509Certificate, above: readonly X509Certificate[]): readonly X509Certificate[] => {
  const path: X509Certificate[] = [];
  for (let last = leaf; ; ) {
    const next = above.find((one) => !path.includes(one) && last.checkIssued(one));
    if (next === undefined || next.checkIssued(next)) return path;
    path.push(next);
    last = next;
  }
};

const textOf = (certificate: X509Certificate): string => `${certificate.toString().trim()}\n`;

const hourMs = 3_600_000;

/** How long before its end: as the provider recommends, else a week, and never more than a third of what it is valid for. */
const renewalMs = (validMs: number, hintHours: number | null): number => {
  const wish = (hintHours ?? 168) * hourMs;
  return Math.min(wish, validMs / 3);
};
