import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { openPebble } from '../../../src/infra/pebble/client.ts';
import { PebbleError } from '../../../src/infra/pebble/trouble.ts';

/** Resolves once a Pebble answers at its socket; rejects, with what `end` says of it, when its process is over before. */
export const untilAnswers = async (
  socket: string,
  child: ChildProcess,
  end: () => string | Promise<string>,
): Promise<void> => {
  const pebble = openPebble(socket);
  for (;;) {
    try {
      await pebble.systemInfo(AbortSignal.timeout(1_000));
      return;
    } catch (cause) {
      if (!(cause instanceof PebbleError)) throw cause;
      if (child.exitCode !== null) throw new Error(await end(), { cause });
      await delay(10);
    }
  }
};
