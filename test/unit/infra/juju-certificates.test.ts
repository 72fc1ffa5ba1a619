import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { ownCertificate } from '../../../src/infra/juju/certificates.ts';
import { authority, first, otherAuthority, second } from '../../support/certificates.ts';
import { MemoryJuju } from '../../support/juju-memory.ts';

const unit = 'pgbouncer/0';
const identity = {
  application: 'pgbouncer',
  number: 0,
  model: 'm',
  fqdn: '',
  hostname: 'pgbouncer-0',
  bound: ['10.0.0.1'],
};
const early = Date.parse('2027-01-01');
const late = Date.parse('2125-11-25');

describe('the certificate of a unit of a charm', () => {
  let juju: MemoryJuju;
  let id: number;
  beforeEach(() => {
    juju = new MemoryJuju('pgbouncer');
    juju.addUnit('pgbouncer/1');
    juju.addUnit(unit);
    id = juju.relate('certificates', 'ca').id;
  });
  /** One dispatch, of a unit that does not lead. */
  const look = async ({ now = early, related = true, of = unit } = {}) => {
    const dispatch = juju.dispatch(of);
    const { tools, calls } = dispatch;
    const relation = related ? { endpoint: 'certificates', id, provider: 'ca' } : null;
    const looked = await ownCertificate({ tools, relation, unit: of, identity, now });
    dispatch.commit();
    return { ...looked, calls };
  };
  const asked = (of = unit): string | null => {
    const text = juju.bagOf(id, of)['certificate_signing_requests'];
    return text === undefined ? null : JSON.parse(text)[0].certificate_signing_request;
  };
  const answer = (...entries: readonly object[]): void =>
    juju.remoteWrites(id, { certificates: JSON.stringify(entries) });
  const signed = (request = asked(), pair = first, ca = authority) => ({
    certificate_signing_request: request,
    certificate: pair.certificate,
    ca,
    chain: [pair.certificate, ca],
  });
  /** With a key that the certificates of the tests belong to. */
  const asking = async (): Promise<void> => {
    await look();
    for (const secret of juju.secrets.values()) secret.content = { ...secret.content, key: new Secret(first.key) };
  };
  const served = { key: new Secret(first.key), certificate: first.certificate, authorities: authority };

  it('is asked for in its own bag, once, with a key that stays in a secret of its own', async () => {
    expect(await look()).toMatchObject({ material: null, lacking: 'the provider has not answered the request yet' });
    const request = asked();
    expect(request).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----/);
    const again = await look();
    expect(again.calls).not.toContain('relation-set');
    expect(again.calls).not.toContain('secret-set');
    expect(asked()).toBe(request);
    expect([...juju.secrets.values()]).toMatchObject([{ label: 'troupe-certificate', owner: unit }]);
    await look({ of: 'pgbouncer/1' });
    expect(asked('pgbouncer/1')).not.toBe(request);
  });

  it('is that of its own request, and the same in later dispatches without a word', async () => {
    await asking();
    answer(signed('another request', second, otherAuthority), signed());
    expect(await look()).toMatchObject({ material: served, lacking: null });
    const again = await look();
    expect(again).toMatchObject({ material: served, lacking: null });
    expect(again.calls).toEqual(['secret-get', 'relation-get', 'relation-get']);
  });

  it('is asked for again before it ends, and served on until the next one is there', async () => {
    await asking();
    answer(signed());
    const request = asked();
    expect(await look({ now: late })).toMatchObject({ material: served, lacking: null });
    const next = asked();
    expect(next).not.toBe(request);
    expect(await look({ now: late })).toMatchObject({ material: served, lacking: null });
    expect(asked()).toBe(next);
    answer({ ...signed(), ca: otherAuthority, chain: [] });
    expect(await look()).toMatchObject({ material: { authorities: otherAuthority }, lacking: null });
  });

  it('is gone when it was revoked, and another one is asked for', async () => {
    await asking();
    answer(signed());
    await look();
    const request = asked();
    answer({ ...signed(), revoked: true });
    expect(await look()).toMatchObject({ material: null, lacking: expect.stringContaining('revoked') });
    expect(asked()).not.toBe(request);
    expect(await look()).toMatchObject({ material: null, lacking: expect.stringContaining('not answered') });
  });

  it('stays while the provider refuses the next one, or answers nonsense', async () => {
    await asking();
    answer(signed());
    await look();
    answer({ ...signed(), certificate: 'nonsense' });
    expect(await look()).toMatchObject({ material: served, lacking: expect.stringContaining('of no use') });
    juju.remoteWrites(id, {
      certificates: '',
      request_errors: JSON.stringify([{ csr: asked(), error: { name: 'IP_NOT_ALLOWED' } }]),
    });
    expect(await look()).toMatchObject({ material: served, lacking: expect.stringContaining('IP_NOT_ALLOWED') });
  });

  it('is asked for by name only, where the provider signs no addresses', async () => {
    juju.remoteWrites(id, { capabilities: '{"supports_ip_sans":false}' });
    await look();
    const without = asked()?.length ?? 0;
    juju.remoteWrites(id, { capabilities: '' });
    await look({ of: 'pgbouncer/1' });
    expect(asked('pgbouncer/1')?.length).toBeGreaterThan(without);
  });

  it('goes with its relation, and is asked for in the next one', async () => {
    await asking();
    answer(signed());
    await look();
    expect(await look({ related: false })).toMatchObject({ material: null, lacking: null });
    expect(juju.secrets.size).toBe(0);
    expect((await look({ related: false })).calls).toEqual(['secret-get']);
    id = juju.relate('certificates', 'another').id;
    await look();
    expect(asked()).toMatch(/^-----BEGIN/);
  });

  it('is asked for with its own request where somebody else has put another one into its bag', async () => {
    await asking();
    const request = asked();
    const bag = juju.relations.get(id)?.bags;
    bag?.set(unit, { certificate_signing_requests: '[{"certificate_signing_request":"old"}]' });
    await look();
    expect(asked()).toBe(request);
  });

  describe('where the charm of before had asked for one', () => {
    const request = '-----BEGIN CERTIFICATE REQUEST-----\nb2xk\n-----END CERTIFICATE REQUEST-----';
    const left = async (inBag = request, more: Readonly<Record<string, string>> = {}): Promise<void> => {
      const dispatch = juju.dispatch(unit);
      const texts = {
        key: first.key,
        csr: request,
        cert: first.certificate,
        cauth: authority,
        chain: `${first.certificate}\n${authority}`,
        ...more,
      };
      const content = Object.fromEntries(
        Object.entries(texts).map(([name, text]) => [name, new Secret(text)] as const),
      );
      await dispatch.tools.secretAdd({ owner: 'unit', label: 'pgb-peers.pgbouncer.unit', content });
      const text = JSON.stringify([{ certificate_signing_request: inBag }]);
      await dispatch.tools.writeBag({ endpoint: 'certificates', id }, 'unit', { certificate_signing_requests: text });
      dispatch.commit();
    };

    it('is served on with the request of then, whether the provider still tells it or not', async () => {
      await left();
      expect(await look()).toMatchObject({ material: served, lacking: null });
      answer(signed());
      expect(await look()).toMatchObject({ material: served, lacking: null });
      expect(asked()).toBe(request);
    });

    it('waits for the provider’s word when it has ended, with the request of then', async () => {
      await left();
      expect(await look({ now: Date.parse('2126-01-01') })).toMatchObject({ material: null });
      expect(asked()).toBe(request);
    });

    it('is asked for anew in time, and the one of then is served until the answer comes', async () => {
      await left();
      answer(signed());
      expect(await look({ now: late })).toMatchObject({ material: served, lacking: null });
      expect(asked()).not.toBe(request);
      expect(await look({ now: late })).toMatchObject({ material: served, lacking: null });
    });

    it.each([
      ['something else stands in its bag', 'another', {}],
      ['it was taken away', request, { key: 'None', csr: 'None' }],
    ])('is asked for as ever when %s', async (_, inBag, more) => {
      await left(inBag, more);
      expect(await look()).toMatchObject({ material: null, lacking: 'the provider has not answered the request yet' });
      expect([request, 'another']).not.toContain(asked());
    });
  });
});
