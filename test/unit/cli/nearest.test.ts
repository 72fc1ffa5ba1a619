import { expect, it } from 'vitest';
import { nearest } from '../../../src/infra/cli/nearest.ts';

it.each([
  ['stauts', 'status'],
  ['pool_mod', 'pool_mode'],
  ['confg', 'config'],
  ['dns', 'dsn'],
  ['frobnicate', null],
  ['', null],
])('%s is taken for %s', (word, meant) => {
  expect(nearest(word, ['status', 'config', 'dsn', 'pool_mode', 'show-unit'])).toBe(meant);
});
