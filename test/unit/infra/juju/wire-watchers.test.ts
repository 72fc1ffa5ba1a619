import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { logLocationIn } from '../../../../src/infra/juju/wire/loki-push-api.ts';
import { charmName } from '../../../../src/infra/juju/wire/topology.ts';

describe('who this charm is to those who watch', () => {
  it('is what its metadata says', () => {
    expect(charmName).toBe(parse(readFileSync('deploy/charm/metadata.yaml', 'utf8')).name);
  });
});

describe('where a unit of Loki takes logs', () => {
  it('is a URL of the web, in JSON', () => {
    const url = 'https://loki.example:3100/loki/api/v1/push';
    expect(logLocationIn({ endpoint: JSON.stringify({ url, more: 1 }) })).toBe(url);
  });

  it.each([
    ['a URL of something else', '{"url": "file:///etc/passwd"}'],
    ['no URL', '{"url": "loki"}'],
    ['a URL without JSON', 'http://loki:3100/loki/api/v1/push'],
    ['a very long URL', JSON.stringify({ url: `http://loki/${'x'.repeat(3_000)}` })],
    ['no text', '{"url": ["http://loki"]}'],
    ['nothing', ''],
  ])('is not told by %s', (_, endpoint) => {
    expect(logLocationIn({ endpoint })).toBeNull();
  });

  it('is one line without blanks, or not told, whatever stands there', () => {
    const url = fc.oneof(fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.string({ unit: 'binary' }));
    const endpoint = fc.oneof(
      url.map((text) => JSON.stringify({ url: text })),
      fc.json(),
      fc.string(),
    );
    fc.assert(
      fc.property(endpoint, (text) => {
        expect(logLocationIn({ endpoint: text }) ?? 'http://none').toMatch(/^https?:\/\/\S+$/);
      }),
    );
  });
});
