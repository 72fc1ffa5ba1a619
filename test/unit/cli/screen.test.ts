import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut, padded, widthOf } from '../../../src/infra/cli/screen.ts';

describe('width', () => {
  it.each([
    ['plain', 5],
    ['é', 1],
    ['e\u0301', 1],
    ['数据', 4],
    ['한글', 4],
    ['ｆｕｌｌ', 8],
    ['🙂', 2],
    ['👩‍👩‍👧', 2],
    ['⠋…→', 3],
    ['', 0],
  ])('of %s is %i', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  it('is what padding and cutting keep to', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 30 });
    fc.assert(
      fc.property(text, fc.integer({ min: 2, max: 20 }), (any, width) => {
        expect(widthOf(cut(any, width))).toBeLessThanOrEqual(width);
        expect(widthOf(padded(cut(any, width), width))).toBe(width);
      }),
    );
  });
});
