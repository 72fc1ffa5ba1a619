/** For each folder that it is told of it tries to be the unit there, at the time (ms, wall clock) that it is told, and answers whether it is. */
import type { Nonce } from '../../src/actors/model/ids.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { FolderHold } from '../../src/infra/files/folder-hold.ts';

export interface Inheritance {
  readonly folder: string;
  readonly at: number;
}

const nonce = '0'.repeat(32) as Nonce;

const inherit = async ({ folder, at }: Inheritance): Promise<void> => {
  while (Date.now() < at); // Sleepers wake up one after the other.
  const hold = await FolderHold.inherit(folder, 'its ledger', nonce, createSystemClock());
  process.send?.(hold !== null);
};

process.on('message', (told: Inheritance) => void inherit(told));
process.once('disconnect', () => process.exit());
