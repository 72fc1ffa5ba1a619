import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What tests take from elsewhere once and keep, outside the checkout; for others than root beside the temporary files. */
export const downloads =
  process.getuid?.() === 0 ? '/var/cache/troupe-test' : join(tmpdir(), `troupe-test-cache-${process.getuid?.()}`);
