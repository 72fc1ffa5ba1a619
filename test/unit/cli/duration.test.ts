import { expect, it } from 'vitest';
import { ageText, timeoutMs } from '../../../src/infra/cli/duration.ts';

it.each([
  ['30', 30_000],
  ['0.5', 500],
  ['2m', 120_000],
  ['24h', 86_400_000],
])('a timeout of %s is %i ms', (text, ms) => {
  expect(timeoutMs(text)).toBe(ms);
});

it.each(['', '0', '-1', '1e3', '25h', ' 5', '5 s', 'NaN', '٣'])('a timeout of %j is refused', (text) => {
  expect(() => timeoutMs(text)).toThrow('must be seconds');
});

it('ages are told in the unit that fits', () => {
  expect([-5, 0, 119_999, 120_000, 7_199_999, 7_200_000, 172_800_000].map(ageText)).toEqual([
    '0s',
    '0s',
    '119s',
    '2m',
    '119m',
    '2h',
    '2d',
  ]);
});
