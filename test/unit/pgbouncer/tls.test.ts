import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { contentsOf, endOf, faultOfTls, fingerprintOf, pemsIn, tlsFilesIn } from '../../../src/pgbouncer/tls.ts';
import {
  authority,
  below,
  elsewhere,
  expired,
  first,
  intermediate,
  otherAuthority,
  root,
  second,
} from '../../support/certificates.ts';

const names = { key: '/k', certificate: '/c', authorities: '/a' };
const materialOf = (pair: { readonly certificate: string; readonly key: string }, authorities = authority) => ({
  certificate: pair.certificate,
  key: new Secret(pair.key),
  authorities,
});
const damaged = (pem: string): string => pem.replace(/\n[^\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
const keyWords = 'it is no private key in PEM, without a passphrase, that belongs to /c';
const faultOf = (...of: Parameters<typeof materialOf>) => faultOfTls(materialOf(...of), names);

describe('certificate, key and authorities for clients', () => {
  it.each([
    ['an authority signed', first, authority],
    ['an authority of several signed', first, otherAuthority + authority],
    ['has ended, which is told otherwise', expired, authority],
    ['one between signed, which clients are told too', below, intermediate + root],
    ['one between signed, which comes with it', { ...below, certificate: below.certificate + intermediate }, root],
    ['is surrounded by other words', { ...first, certificate: `subject=x\n${first.certificate}` }, authority],
  ])('can be used where the certificate %s', (_, pair, authorities) => {
    expect(faultOf(pair, authorities)).toBeNull();
  });

  it.each([
    ['no certificate', { ...first, certificate: 'hello' }, authority, '/c: it is no certificate in PEM'],
    [
      'a damaged one',
      { ...first, certificate: damaged(first.certificate) },
      authority,
      '/c: it is no certificate in PEM',
    ],
    ['the key of another', { ...first, key: second.key }, authority, `/k: ${keyWords}`],
    ['no key', { ...first, key: 'x' }, authority, `/k: ${keyWords}`],
    ['no authority', first, '', '/a: it holds no certificates of authorities in PEM'],
    ['a damaged authority', first, damaged(authority), '/a: it holds no certificates of authorities in PEM'],
    ['another authority', first, otherAuthority, '/a: it does not vouch for /c: whoever trusts it would not be let in'],
    ['the one above missing', below, root, '/a: it does not vouch for /c: whoever trusts it would not be let in'],
    [
      'all authorities of a system',
      first,
      authority.repeat(40),
      `/a: it has ${authority.length * 40} characters, and clients are told up to 16000: only the authority of the certificate belongs there`,
    ],
  ])('cannot be used with %s', (_, pair, authorities, fault) => {
    expect(faultOf(pair, authorities)).toBe(fault);
  });

  it('lie in files of a directory that is named after all three', () => {
    const files = tlsFilesIn('/s/tls', materialOf(first));
    expect(contentsOf(files).map(([path]) => path.replace(`${files.directory}/`, ''))).toEqual([
      'key.pem',
      'certificate.pem',
      'authorities.pem',
    ]);
    const others = [materialOf(second), materialOf(first, root), materialOf({ ...first, key: second.key })];
    const directories = new Set([files, ...others.map((one) => tlsFilesIn('/s/tls', one))].map((one) => one.directory));
    expect(directories.size).toBe(4);
  });

  it('tell their end and their fingerprint by the first certificate', () => {
    const chain = materialOf({ ...below, certificate: below.certificate + intermediate });
    expect(new Date(endOf(materialOf(expired))).toISOString()).toBe('2021-01-01T00:00:00.000Z');
    expect(fingerprintOf(chain)).toBe(fingerprintOf(materialOf(below)));
    expect(fingerprintOf(materialOf(elsewhere))).not.toBe(fingerprintOf(materialOf(first)));
    expect(endOf(materialOf({ certificate: 'x', key: '' }))).toBe(0);
    expect(fingerprintOf(materialOf({ certificate: 'x', key: '' }))).toBeNull();
  });

  it('are told apart in a text of several', () => {
    expect(pemsIn(`${root}# and\n${intermediate}`)).toEqual([root.trim(), intermediate.trim()]);
    expect(pemsIn('')).toEqual([]);
  });
});
