/** Certificate, key and authorities that clients are served with: what is wrong with them, and where they lie. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { TlsFiles, TlsMaterial } from '../actors/model/workload.ts';

/** Files of their own for each content: a certificate and a key that do not belong together are never read, not even half-way. */
export const tlsFilesIn = (parent: string, material: TlsMaterial): TlsFiles => {
  const { key, certificate, authorities } = material;
  const contents = JSON.stringify([key.reveal(), certificate, authorities]);
  const directory = `${parent}/${createHash('sha256').update(contents).digest('hex').slice(0, 16)}`;
  return {
    ...material,
    directory,
    keyFile: `${directory}/key.pem`,
    certificateFile: `${directory}/certificate.pem`,
    authoritiesFile: `${directory}/authorities.pem`,
  };
};

/** Path and text of each file. */
export const contentsOf = (tls: TlsFiles): readonly (readonly [path: string, text: string])[] => [
  [tls.keyFile, tls.key.reveal()],
  [tls.certificateFile, tls.certificate],
  [tls.authoritiesFile, tls.authorities],
];

/** What clients are told is in databags, of which there are many. */
const longestAuthorities = 16_000;

/**
 * Why they cannot be used, naming the parts as `names` does; null when they can, as far as it can be told without PgBouncer. Nothing of
 * what they hold is in it.
 */
export const faultOfTls = (
  { key, certificate, authorities }: TlsMaterial,
  names: { readonly key: string; readonly certificate: string; readonly authorities: string },
): string | null => {
  const chain = certificatesIn(certificate);
  const [leaf] = chain ?? [];
  if (chain === null || leaf === undefined) return `${names.certificate}: it is no certificate in PEM`;
  const trusted = certificatesIn(authorities);
  if (trusted === null || trusted.length === 0)
    return `${names.authorities}: it holds no certificates of authorities in PEM`;
  if (authorities.length > longestAuthorities)
    return `${names.authorities}: it has ${authorities.length} characters, and clients are told up to ${longestAuthorities}: only the authority of the certificate belongs there`;
  if (!isKeyOf(leaf, key.reveal()))
    return `${names.key}: it is no private key in PEM, without a passphrase, that belongs to ${names.certificate}`;
  if (!isVouchedFor(leaf, chain, trusted))
    return `${names.authorities}: it does not vouch for ${names.certificate}: whoever trusts it would not be let in`;
  return null;
};

/** When the first certificate ends, wall-clock ms; what is no certificate has ended. */
export const endOf = ({ certificate }: TlsMaterial): number =>
  Date.parse(certificatesIn(certificate)?.[0]?.validTo ?? '') || 0;

/** SHA-256 of the first certificate, as TLS libraries print it. */
export const fingerprintOf = ({ certificate }: TlsMaterial): string | null =>
  certificatesIn(certificate)?.[0]?.fingerprint256 ?? null;

/** Each certificate of a text by itself, with nothing around it. */
export const pemsIn = (text: string): readonly string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];

const certificatesIn = (text: string): readonly X509Certificate[] | null => {
  try {
    return pemsIn(text).map((pem) => new X509Certificate(pem));
  } catch {
    return null;
  }
};

const isKeyOf = (certificate: X509Certificate, key: string): boolean => {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
};

const isVouchedFor = (
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
): boolean => {
  const isTrusted = ({ fingerprint256 }: X509Certificate): boolean =>
    trusted.some((one) => one.fingerprint256 === fingerprint256);
  const above = [...trusted, ...chain];
  const seen = new Set<string>();
  for (let last: X509Certificate | undefined = leaf; last !== undefined; ) {
    if (isTrusted(last)) return true;
    seen.add(last.fingerprint256);
    last = above.find((one) => !seen.has(one.fingerprint256) && isIssuedBy(last, one));
  }
  return false;
};

const isIssuedBy = (certificate: X509Certificate | undefined, issuer: X509Certificate): boolean =>
  certificate?.checkIssued(issuer) === true && certificate.verify(issuer.publicKey);
