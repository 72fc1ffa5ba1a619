import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Application } from '../../../src/actors/model/ids.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import {
  ensureSealKey,
  loadSealKey,
  open,
  type Place,
  SealKey,
  seal,
  sealKeyOf,
} from '../../../src/infra/files/seal.ts';

const key = new SealKey(Buffer.alloc(32, 1));
const place: Place = { application: 'pgbouncer' as Application, object: 'intent', field: '/backends/main/password' };
const text = (sealed: ReturnType<typeof seal>, at = place, by = key): string | null => {
  const answer = open(by, at, sealed);
  return answer.kind === 'opened' ? answer.secret.reveal() : null;
};

describe('a sealed secret', () => {
  it('opens with its key at its place, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (plain) => text(seal(key, place, new Secret(plain))) === plain),
    );
  });

  it('shows nothing of itself and never looks the same twice', () => {
    const [one, two] = [seal(key, place, new Secret('hunter2')), seal(key, place, new Secret('hunter2'))];
    expect(JSON.stringify(one)).not.toContain('hunter2');
    for (const part of ['s', 'i', 't', 'c'] as const) expect(one[part]).not.toBe(two[part]);
    expect(Object.keys(one).toSorted()).toEqual(['c', 'i', 'k', 's', 't']);
  });

  it('does not open anywhere else', () => {
    const sealed = seal(key, place, new Secret('x'));
    for (const elsewhere of [
      { ...place, field: '/backends/other/password' },
      { ...place, object: 'rel:1' },
      { ...place, application: 'other' as Application },
    ]) {
      expect(open(key, elsewhere, sealed)).toEqual({ kind: 'damaged' });
    }
  });

  it('names the key it needs when another one is given', () => {
    const other = new SealKey(Buffer.alloc(32, 2));
    expect(open(other, place, seal(key, place, new Secret('x')))).toEqual({ kind: 'otherKey', keyId: key.id });
    expect(other.id).not.toBe(key.id);
  });

  it('answers that it is damaged, with any bit changed and any part cut, and never throws', () => {
    const sealed = seal(key, place, new Secret('some secret'));
    for (const part of ['s', 'i', 't', 'c'] as const) {
      const bytes = Buffer.from(sealed[part], 'base64url');
      bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
      for (const value of [bytes.toString('base64url'), sealed[part].slice(0, 4), '', '!', sealed[part].repeat(2)]) {
        expect(open(key, place, { ...sealed, [part]: value })).toEqual({ kind: 'damaged' });
      }
    }
  });
});

describe('the key', () => {
  it('does not print', () => {
    const bytes = Buffer.alloc(32, 0xab);
    const shown = `${JSON.stringify(new SealKey(bytes))} ${inspect(new SealKey(bytes), { showHidden: true, depth: 9 })}`;
    expect(shown).not.toContain('abab');
    expect(shown).not.toContain(bytes.toString('base64').slice(0, 8));
  });

  it('gives fingerprints that only it can make', () => {
    const other = new SealKey(Buffer.alloc(32, 2));
    expect(key.fingerprint('a')).toBe(key.fingerprint('a'));
    expect(key.fingerprint('a')).not.toBe(key.fingerprint('b'));
    expect(key.fingerprint('a')).not.toBe(other.fingerprint('a'));
  });

  it.each([
    ['base64', Buffer.alloc(32, 1).toString('base64')],
    ['base64 with a line end', `${Buffer.alloc(32, 1).toString('base64')}\n`],
    ['base64url without padding', Buffer.alloc(32, 1).toString('base64url')],
    ['hex', Buffer.alloc(32, 1).toString('hex')],
    ['hex in capitals', Buffer.alloc(32, 1).toString('hex').toUpperCase()],
  ])('is read from %s', (_, written) => {
    expect(sealKeyOf(new Secret(written), 'here').id).toBe(key.id);
  });

  it.each([
    ['nothing', ''],
    ['a word', 'password'],
    ['16 bytes of hex', '01'.repeat(16)],
    ['33 bytes', Buffer.alloc(33, 1).toString('base64')],
    ['base64 with a foreign letter', `${'A'.repeat(42)}*=`],
  ])('is refused from %s, with what to do and without what was there', (_, written) => {
    const refused = () => sealKeyOf(new Secret(written), '/etc/key');
    expect(refused).toThrow(
      /cannot use the secret key in \/etc\/key: it must be 32 random bytes.*openssl rand -base64 32/,
    );
    if (written !== '') expect(refused).not.toThrow(written);
  });

  describe('in a file', () => {
    let directory = '';
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'key-'));
    });
    afterEach(() => rm(directory, { recursive: true }));

    it('is made once, readable by its owner only, and the same for all who ask at once', async () => {
      const path = join(directory, 'key');
      const keys = await Promise.all(Array.from({ length: 8 }, () => ensureSealKey(path)));
      expect(new Set(keys.map(({ key: { id } }) => id)).size).toBe(1);
      expect((await stat(path)).mode & 0o777).toBe(0o400);
      expect((await loadSealKey(path)).id).toBe(keys[0]?.key.id);
    });

    it('that is missing is said with what to do', async () => {
      const path = join(directory, 'none');
      await expect(loadSealKey(path)).rejects.toThrow(`there is no file ${path}; make one with`);
    });

    it('that is no key is not replaced', async () => {
      const path = join(directory, 'key');
      await writeFile(path, 'mine');
      await expect(ensureSealKey(path)).rejects.toThrow(/cannot use the secret key/);
    });
  });
});
