/** For vitest's `setupFiles`: a test file that leaves a socket, a server, a child or a timer behind fails. */
import { afterAll } from 'vitest';
import { resourcesInUse, resourcesLeftSince } from './leaks.ts';

const before = resourcesInUse();

// Hooks run in the reverse order: whatever a file cleans up itself has been cleaned up by now.
afterAll(async () => {
  const left = await resourcesLeftSince(before);
  if (left.length > 0) throw new Error(`this file left in use: ${left.join(', ')}`);
}, 10_000);
