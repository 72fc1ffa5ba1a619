import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { scramVerifier } from '../../../src/pgbouncer/scram.ts';

const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');

describe('a SCRAM verifier', () => {
  it('is that of RFC 7677', async () => {
    const verifier = await scramVerifier(new Secret('pencil'), salt);
    expect(verifier.reveal()).toBe(
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    );
    expect(String(verifier)).toBe('[secret]');
  });

  it('differs by password, salt and iterations', async () => {
    const all = await Promise.all([
      scramVerifier(new Secret('pencil'), salt),
      scramVerifier(new Secret('pencil '), salt),
      scramVerifier(new Secret('pencil'), Buffer.alloc(16)),
      scramVerifier(new Secret('pencil'), salt, 4097),
    ]);
    expect(new Set(all.map((verifier) => verifier.reveal())).size).toBe(4);
  });

  it.each(['', 'pässword', 'a\nb', 'a\u00a0b', '\u007f'])('is refused for %j, without saying it', async (text) => {
    await expect(scramVerifier(new Secret(text), salt)).rejects.toThrow(
      /^cannot compute a SCRAM verifier: the password must be/,
    );
  });
});
