import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { signingRequest } from '../../../src/infra/juju/wire/signing-request.ts';
import {
  answerIn,
  type CertificateAnswer,
  type IssuedCertificate,
  requestBag,
  requestIn,
  signsAddresses,
} from '../../../src/infra/juju/wire/tls-certificates.ts';
import {
  authority,
  below,
  expired,
  first,
  intermediate,
  otherAuthority,
  root,
  second,
} from '../../support/certificates.ts';

const subject = { commonName: 'pgb-0', names: ['localhost'], addresses: ['127.0.0.1'] };
const ask = (pair: { readonly key: string }, id = 'one') => {
  const key = new Secret(pair.key);
  return { key, request: signingRequest(subject, key, id) };
};
const asked = ask(first);

const entry = (changes: Readonly<Record<string, unknown>> = {}) => ({
  certificate_signing_request: asked.request,
  certificate: first.certificate,
  ca: authority,
  chain: [first.certificate, authority],
  ...changes,
});
const bagOf = (...entries: readonly unknown[]) => ({ certificates: JSON.stringify(entries) });
const issuedFrom = (answer: CertificateAnswer): IssuedCertificate => {
  if (answer.kind !== 'issued') throw new Error(`the answer is ${JSON.stringify(answer)}`);
  return answer.certificate;
};
const issued = (...entries: readonly unknown[]) => issuedFrom(answerIn(asked, bagOf(...entries)));

describe('what a unit asks for', () => {
  it('is one request with the word ca, without which newer providers ignore the whole bag', () => {
    const { certificate_signing_requests: text } = requestBag(`${asked.request}\n`);
    expect(JSON.parse(text ?? '')).toEqual([{ certificate_signing_request: asked.request, ca: false }]);
  });

  it('is found in its own bag again', () => {
    expect(requestIn(requestBag(asked.request))).toBe(asked.request);
  });

  it.each(['', '[]', 'no JSON', '{}', '[{}]', '[null]', '[{"certificate_signing_request":7}]'])(
    'is nothing where the bag holds %j',
    (text) => {
      expect(requestIn({ certificate_signing_requests: text })).toBeNull();
    },
  );

  it('is taken back by an empty text, which removes the key', () => {
    expect(requestBag(null)).toEqual({ certificate_signing_requests: '' });
  });
});

describe('the answer to a request', () => {
  it('is the certificate of the entry that repeats the request', () => {
    const others = entry({ certificate_signing_request: ask(second).request, certificate: second.certificate });
    expect(issued(others, entry())).toMatchObject({ chain: first.certificate, authorities: authority });
  });

  it('is the same whatever white space is around the texts', () => {
    const spaced = entry({ certificate_signing_request: `\n${asked.request}\n\n`, ca: `  ${authority}`, chain: null });
    expect(issued(spaced)).toEqual(issued(entry()));
  });

  it('has whoever is between the certificate and the authority, in the order of a handshake', () => {
    const mine = ask(below);
    const given = {
      certificate_signing_request: mine.request,
      certificate: below.certificate,
      ca: root,
      chain: [root, intermediate, below.certificate],
    };
    const its = issuedFrom(answerIn(mine, bagOf(given)));
    expect(its.chain).toBe(below.certificate + intermediate);
    expect(its.authorities).toBe(root + intermediate);
  });

  it('needs no chain', () => {
    expect(issued(entry({ chain: undefined }))).toEqual(issued(entry()));
  });

  it('is nothing yet where nobody answered', () => {
    for (const bag of [{}, { certificates: '' }, bagOf(), bagOf(entry({ certificate_signing_request: 'another' }))])
      expect(answerIn(asked, bag)).toEqual({ kind: 'none' });
  });

  it('is that the certificate was revoked, even without one', () => {
    const { request } = asked;
    expect(answerIn(asked, bagOf(entry({ revoked: true })))).toEqual({ kind: 'revoked' });
    expect(answerIn(asked, bagOf({ certificate_signing_request: request, revoked: true }))).toEqual({
      kind: 'revoked',
    });
  });

  it('is the reason in one line where the provider refuses', () => {
    const error = { code: 102, name: 'DOMAIN_NOT_ALLOWED', message: 'a.example\nis not ours' };
    const bag = { request_errors: JSON.stringify([{ csr: 'another' }, { csr: `${asked.request}\n`, error }]) };
    expect(answerIn(asked, bag)).toEqual({ kind: 'refused', reason: 'DOMAIN_NOT_ALLOWED: a.example is not ours' });
  });

  it('is a certificate where an error of earlier was left behind', () => {
    const bag = { ...bagOf(entry()), request_errors: JSON.stringify([{ csr: asked.request }]) };
    expect(answerIn(asked, bag)).toMatchObject({ kind: 'issued' });
  });

  it.each([
    [
      'a certificate of another key',
      { certificate: second.certificate },
      'the certificate is of another key than ours',
    ],
    ['no certificate', { certificate: undefined }, 'it lacks a certificate, or the authority that signed it'],
    ['no authority', { ca: null }, 'it lacks a certificate, or the authority that signed it'],
    ['a text that is no certificate', { certificate: 'hello' }, 'what it holds is no certificate in PEM'],
    ['a chain with something else in it', { chain: [authority, 'x'] }, 'what it holds is no certificate in PEM'],
    ['a private key as the authority', { ca: first.key }, 'what it holds is no certificate in PEM'],
  ])('is of no use with %s', (_, changes, reason) => {
    expect(answerIn(asked, bagOf(entry(changes)))).toEqual({ kind: 'unusable', reason });
  });

  it('does not depend on what others have in the list', () => {
    const strange = [
      null,
      7,
      'text',
      [],
      {},
      { certificate_signing_request: {} },
      entry({ certificate_signing_request: 'x' }),
    ];
    expect(issued(...strange, entry())).toEqual(issued(entry()));
  });

  it('is read from whatever a bag holds, without an exception', () => {
    const anything = fc.oneof(fc.string(), fc.json());
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('certificates', 'request_errors', 'capabilities'), anything), (bag) => {
        expect(answerIn(asked, bag).kind).toBe('none');
        expect(signsAddresses(bag)).toBe(true);
      }),
    );
  });
  it('is made of whatever an entry of ours holds, without an exception', () => {
    fc.assert(
      fc.property(fc.record({ certificate: fc.anything(), ca: fc.anything(), chain: fc.anything() }), (changes) => {
        expect(['issued', 'unusable']).toContain(answerIn(asked, bagOf(entry(changes))).kind);
      }),
    );
  });
});

describe('the next request', () => {
  const day = 86_400_000;

  it('is due a week before the end', () => {
    const { validUntil, renewAt } = issued(entry());
    expect(validUntil - renewAt).toBe(7 * day);
    expect(new Date(validUntil).getUTCFullYear()).toBe(2125);
  });

  it('is due when the provider recommends it', () => {
    const { validUntil, renewAt } = issued(entry({ recommended_expiry_notification_time: 48 }));
    expect(validUntil - renewAt).toBe(2 * day);
  });

  it.each([0, -3, 'soon', {}, null])('takes a recommendation of %j for none', (hours) => {
    expect(issued(entry({ recommended_expiry_notification_time: hours }))).toEqual(issued(entry()));
  });

  it('is due after two thirds at the earliest, also when a certificate is short-lived', () => {
    const mine = ask(expired);
    const given = { certificate_signing_request: mine.request, certificate: expired.certificate, ca: authority };
    const its = issuedFrom(answerIn(mine, bagOf({ ...given, recommended_expiry_notification_time: 10_000_000 })));
    expect(its.renewAt).toBe(its.validFrom + ((its.validUntil - its.validFrom) / 3) * 2);
    expect(new Date(its.validUntil).toISOString()).toBe('2021-01-01T00:00:00.000Z');
  });
});

describe('a provider', () => {
  it.each([
    ['{"supports_ip_sans":false}', false],
    ['{"supports_ip_sans":true}', true],
    ['{}', true],
    ['', true],
    ['x', true],
  ])('with the capabilities %j signs addresses: %j', (capabilities, signs) => {
    expect(signsAddresses({ capabilities })).toBe(signs);
  });

  it('that signed for another authority is still heard: clients are told whom to trust', () => {
    expect(issued(entry({ ca: otherAuthority, chain: [] })).authorities).toBe(otherAuthority);
  });
});
