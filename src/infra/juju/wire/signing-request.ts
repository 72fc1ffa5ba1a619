/** A certificate signing request (PKCS #10) for a unit. Its own module: the ASN.1 library costs a program 40 ms, and few dispatches ask. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { Attributes, CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  Attribute,
  AttributeTypeAndValue,
  AttributeValue,
  Extension,
  Extensions,
  GeneralName,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
} from '@peculiar/asn1-x509';
import { Secret } from '../../../actors/model/secret.ts';

/** For whom a certificate is: its common name, and the names and addresses at which clients reach it. */
export interface Subject {
  readonly commonName: string | null;
  readonly names: readonly string[];
  readonly addresses: readonly string[];
}

/** A unit on Kubernetes; what is not known is empty. */
export interface UnitIdentity {
  readonly application: string;
  readonly number: number;
  readonly model: string;
  readonly fqdn: string;
  /** Host name of the pod. */
  readonly hostname: string;
  /** Addresses or names that the platform binds the unit to. */
  readonly bound: readonly string[];
}

/** By the names of its pod, and by those of the Service that all units share. */
export const subjectOf = ({ application, number, model, fqdn, hostname, bound }: UnitIdentity): Subject => {
  const pod = `${application}-${number}`;
  const own = `${pod}.${application}-endpoints`;
  const service = `${application}-service`;
  const all = [pod, own, fqdn, hostname, ...bound, service, `${service}.${model}.svc.cluster.local`];
  return {
    commonName: [own, pod].find((name) => name.length <= longestCommonName) ?? null,
    names: [...new Set(all.filter((name) => isIP(name) === 0 && isHostName(name)))],
    addresses: [...new Set(all.filter((name) => isIP(name) !== 0))],
  };
};

const longestCommonName = 64;
const isHostName = (name: string): boolean =>
  name.length <= 253 && /^(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*$/.test(name);

/** A new private key in PEM. RSA, because there are providers that sign nothing else. */
export const newPrivateKey = async (): Promise<Secret> => {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
};

/** A private key that a person gives: PEM, or that as base64. Null: it is none that a certificate can be asked for with. */
export const privateKeyIn = (text: string): Secret | null => {
  for (const candidate of [text, Buffer.from(text, 'base64').toString('utf8')]) {
    const key = keyIn(candidate);
    if (key !== null && algorithms[key.asymmetricKeyType ?? ''] !== undefined)
      return new Secret(key.export({ type: 'pkcs8', format: 'pem' }).toString());
  }
  return null;
};

const keyIn = (text: string): KeyObject | null => {
  try {
    return createPrivateKey(text);
  } catch {
    return null;
  }
};

/** `id` is new for each request, so that no two of them are the same text: that is how answers are told apart. PEM. */
export const signingRequest = ({ commonName, names, addresses }: Subject, key: Secret, id: string): string => {
  const privateKey = createPrivateKey(key.reveal());
  const algorithm = algorithms[privateKey.asymmetricKeyType ?? ''];
  if (algorithm === undefined) throw new Error(`a key of type ${privateKey.asymmetricKeyType} signs no request`);
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const info = new CertificationRequestInfo({
    subject: new Name([
      ...(commonName === null ? [] : [attributeOf(oids.commonName, commonName)]),
      attributeOf(oids.uniqueIdentifier, id),
    ]),
    subjectPKInfo: AsnConvert.parse(publicKey, SubjectPublicKeyInfo),
    attributes: new Attributes([
      new Attribute({
        type: oids.extensionRequest,
        values: [AsnConvert.serialize(new Extensions([alternativesOf(names, addresses)]))],
      }),
    ]),
  });
  const signed = AsnConvert.serialize(info);
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier(algorithm),
    signature: arrayBufferOf(sign('sha256', new Uint8Array(signed), privateKey)),
  });
  const lines =
    Buffer.from(AsnConvert.serialize(request))
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----'].join('\n');
};

const oids = {
  commonName: '2.5.4.3',
  uniqueIdentifier: '2.5.4.45',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
} as const;

/** With SHA-256. */
const algorithms: Readonly<Record<string, { readonly algorithm: string; readonly parameters?: null }>> = {
  rsa: { algorithm: '1.2.840.113549.1.1.11', parameters: null },
  ec: { algorithm: '1.2.840.10045.4.3.2' },
};

const attributeOf = (type: string, value: string): RelativeDistinguishedName =>
  new RelativeDistinguishedName([
    new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: value }) }),
  ]);

const alternativesOf = (names: readonly string[], addresses: readonly string[]): Extension => {
  const alternatives = new SubjectAlternativeName([
    ...names.map((dNSName) => new GeneralName({ dNSName })),
    ...addresses.filter((address) => isIP(address) !== 0).map((iPAddress) => new GeneralName({ iPAddress })),
  ]);
  const extnValue = new OctetString(AsnConvert.serialize(alternatives));
  return new Extension({ extnID: oids.subjectAltName, critical: false, extnValue });
};

const arrayBufferOf = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;
