import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where what containers said is kept when something failed: they are gone when somebody looks. */
export const keptWords = 'test-results/e2e';

export const keepWords = (what: string, words: string): void => {
  const file = join(keptWords, `${what.replaceAll(/[^A-Za-z0-9.]+/g, '-').slice(0, 120)}.log`);
  mkdirSync(keptWords, { recursive: true });
  writeFileSync(file, words);
  console.error(`what its containers said: ${file}`);
};
