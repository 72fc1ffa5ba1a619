/** Writes the pages that come from the code: `npm run words`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { pages } from './words-page.ts';

for (const { file, text } of pages()) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`${file} is written`);
}
