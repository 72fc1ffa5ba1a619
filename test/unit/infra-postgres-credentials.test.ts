import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { scramVerifier } from '../../src/pgbouncer/scram.ts';

const mint = () => createCredentials().mint('orders_1');

it('a minted password has at least 128 bits and needs no quoting anywhere', async () => {
  const { password } = await mint();
  expect(password.reveal()).toMatch(/^[A-Za-z0-9]+$/);
  expect(password.reveal().length * Math.log2(62)).toBeGreaterThan(128);
});

it('the letters of passwords are spread evenly over the alphabet', async () => {
  const counts = new Map<string, number>();
  for (const { password } of await Promise.all(Array.from({ length: 100 }, mint)))
    for (const letter of password.reveal()) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const expected = total / 62;
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(counts.size).toBe(62);
  expect(chiSquare).toBeLessThan(150); // 61 degrees of freedom: more happens once in 10^9 runs.
});

it('the verifier is that of the password, with a salt of its own', async () => {
  const [one, other] = await Promise.all([mint(), mint()]);
  const saltOf = (verifier: string): string => verifier.split(/[:$]/)[2] ?? '';
  const salt = saltOf(one.verifier.reveal());
  expect((await scramVerifier(one.password, Buffer.from(salt, 'base64'))).equals(one.verifier)).toBe(true);
  expect(saltOf(other.verifier.reveal())).not.toBe(salt);
  expect(Buffer.from(salt, 'base64')).toHaveLength(16);
});

it('an account shows neither', async () => {
  const account = await mint();
  for (const text of [JSON.stringify(account), inspect(account)]) {
    expect(text).not.toContain(account.password.reveal());
    expect(text).not.toContain(account.verifier.reveal());
  }
});
