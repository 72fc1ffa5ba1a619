import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quoted } from '../../../src/actors/model/quoted.ts';

describe("somebody's words within a sentence", () => {
  it.each([
    ['orders', '"orders"'],
    ['a "b" \\', '"a \\"b\\" \\\\"'],
    ['two\nlines\t', '"two\\nlines\\t"'],
    ['\u0000\u007f\u0085\u2028', '"\\u0000\\u{7f}\\u{85}\\u{2028}"'],
    ['\u202egnp.exe\ufeff\u00a0', '"\\u{202e}gnp.exe\\u{feff}\\u{a0}"'],
    ['\ud800', '"\\ud800"'],
    ['🐘 ü', '"\\u{1f418} \\u{fc}"'],
    ['оrders', '"\\u{43e}rders"'],
    ['x'.repeat(81), `"${'x'.repeat(80)}…"`],
  ])('%j are shown as %s', (text, shown) => {
    expect(quoted(text)).toBe(shown);
  });

  it('are one line that anything can be shown in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const shown = quoted(text);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown.length).toBeLessThan(900);
      }),
    );
  });
});
