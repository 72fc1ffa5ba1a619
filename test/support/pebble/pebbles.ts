import { appendFileSync } from 'node:fs';
import type { PebbleProvider } from './daemon.ts';
import { realPebble } from './real-pebble.ts';
import { startSmallPebble } from './small-pebble.ts';

/** The small one, and the real one where there is one. A run that keeps a summary is told which. */
export const pebbles = async (): Promise<readonly PebbleProvider[]> => {
  const real = await realPebble(process.env['TROUPE_TEST_PEBBLE']);
  const summary = process.env['TROUPE_TEST_PROVIDERS'];
  if (summary !== undefined) appendFileSync(summary, `${real.reason ?? real.label}\n`);
  return [{ label: 'the small Pebble', start: startSmallPebble, reason: null }, real];
};
