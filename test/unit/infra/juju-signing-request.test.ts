import { createPublicKey, verify } from 'node:crypto';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Extensions, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import {
  newPrivateKey,
  privateKeyIn,
  signingRequest,
  subjectOf,
} from '../../../src/infra/juju/wire/signing-request.ts';
import { first } from '../../support/certificates.ts';

const read = (pem: string) => {
  const request = AsnConvert.parse(
    Buffer.from(pem.replaceAll(/-----[A-Z ]+-----/g, ''), 'base64'),
    CertificationRequest,
  );
  const { certificationRequestInfo: info } = request;
  const [attribute] = info.attributes;
  const extensions = AsnConvert.parse(attribute?.values[0] ?? new ArrayBuffer(0), Extensions);
  const alternatives = AsnConvert.parse(extensions[0]?.extnValue.buffer ?? new ArrayBuffer(0), SubjectAlternativeName);
  return {
    subject: info.subject.flatMap((part) => part.map(({ type, value }) => [type, value.toString()])),
    names: alternatives.flatMap(({ dNSName }) => dNSName ?? []),
    addresses: alternatives.flatMap(({ iPAddress }) => iPAddress ?? []),
    isSigned: (key: Secret) =>
      verify(
        'sha256',
        new Uint8Array(AsnConvert.serialize(info)),
        createPublicKey(key.reveal()),
        new Uint8Array(request.signature),
      ),
  };
};

const subject = {
  commonName: 'pgb-0.pgb-endpoints',
  names: ['pgb-0', 'pgb-service.m.svc.cluster.local'],
  addresses: ['10.1.2.3', 'fd00::7'],
};

describe('a signing request', () => {
  it.each([
    ['RSA', newPrivateKey],
    ['an elliptic curve', async () => new Secret(first.key)],
  ])('of %s says for whom it is, and is signed with its key', async (_, make) => {
    const key = await make();
    const its = read(signingRequest(subject, key, '6b0c'));
    expect(its).toMatchObject({
      subject: [
        ['2.5.4.3', 'pgb-0.pgb-endpoints'],
        ['2.5.4.45', '6b0c'],
      ],
      names: subject.names,
      addresses: ['10.1.2.3', 'fd00::7'],
    });
    expect(its.isSigned(key)).toBe(true);
    expect(its.isSigned(await newPrivateKey())).toBe(false);
  });

  it('is PEM without a final line break, and another text for another id', () => {
    const key = new Secret(first.key);
    const [one, two] = ['1', '2'].map((id) => signingRequest(subject, key, id));
    expect(one).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----\n(?:[\w+/=]{1,64}\n)+-----END CERTIFICATE REQUEST-----$/);
    expect(one).not.toBe(two);
  });

  it('can do without a common name', () => {
    const key = new Secret(first.key);
    expect(read(signingRequest({ ...subject, commonName: null }, key, '1')).subject).toEqual([['2.5.4.45', '1']]);
  });
});

describe('whom a unit asks for', () => {
  const unit = { application: 'pgb', number: 2, model: 'prod', fqdn: 'pgb-2.pgb-endpoints.prod.svc.cluster.local' };

  it('is its pod and the Service of its application, addresses apart', () => {
    const bound = ['10.1.2.3', '10.1.2.3', unit.fqdn];
    expect(subjectOf({ ...unit, hostname: 'pgb-2', bound })).toEqual({
      commonName: 'pgb-2.pgb-endpoints',
      names: [
        'pgb-2',
        'pgb-2.pgb-endpoints',
        'pgb-2.pgb-endpoints.prod.svc.cluster.local',
        'pgb-service',
        'pgb-service.prod.svc.cluster.local',
      ],
      addresses: ['10.1.2.3'],
    });
  });

  it('leaves out what is no host name, and a common name that is too long for one', () => {
    const application = 'a'.repeat(30);
    const { commonName, names } = subjectOf({
      ...unit,
      application,
      fqdn: '',
      hostname: 'no_host',
      bound: ['-x', '*'],
    });
    expect(commonName).toBe(`${application}-2`);
    expect(names).toEqual([
      `${application}-2`,
      `${application}-2.${application}-endpoints`,
      `${application}-service`,
      `${application}-service.prod.svc.cluster.local`,
    ]);
  });
});

describe('a private key that a person gives', () => {
  it('is taken as PEM and as base64 of that', () => {
    const given = privateKeyIn(first.key);
    expect(given?.reveal()).toBe(first.key);
    expect(privateKeyIn(Buffer.from(first.key).toString('base64'))?.reveal()).toBe(first.key);
  });

  it.each(['', 'hello', first.certificate, first.key.slice(0, 80)])('is refused where it is none: %j', (text) => {
    expect(privateKeyIn(text)).toBeNull();
  });
});
