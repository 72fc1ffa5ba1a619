/** A fleet file that an application begins with: used once in its life, when nobody has asked it for anything yet. */
import { changeIntent } from '../actors/config/change.ts';
import type { Application, WallMs } from '../actors/model/ids.ts';
import type { Clock } from '../actors/ports/clock.ts';
import type { Fleet } from '../actors/ports/fleet.ts';
import type { Log } from '../infra/files/log.ts';
import { type LoadedFleet, loadFleet } from '../infra/fleet-file/load.ts';

/** What is wrong with the fleet file, a sentence for each fault. */
export class BadFleetFile extends Error {
  override readonly name = 'BadFleetFile';
  readonly sentences: readonly string[];
  constructor(sentences: readonly string[]) {
    super(sentences.join('; '));
    this.sentences = sentences;
  }
}

/** Rejects with BadFleetFile, also when it will not be used: who starts a unit with it means it to be right. */
export const loadSeed = async (file: string, application: Application): Promise<LoadedFleet> => {
  const loaded = await loadFleet(file, null, false);
  if (loaded.kind === 'faults') throw new BadFleetFile(loaded.sentences);
  const { change, about } = loaded.value;
  const tried = changeIntent(null, change, { application, author: '', reason: '', wall: 0 as WallMs }, [], null);
  if (tried.kind === 'invalid') throw new BadFleetFile(tried.problems.map(({ path, reason }) => about(path, reason)));
  if (tried.kind === 'refused') throw new BadFleetFile([`${file}: ${tried.reason}`]);
  return loaded.value;
};

export interface Seeding {
  readonly file: string;
  readonly seed: LoadedFleet;
  /** Who asks: this unit. */
  readonly author: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const pauseMs = 1_000;

/** Asks until it is known what became of it. Of several units that ask at once one is heard, and the others learn that. */
export const plant = async (fleet: Fleet, { file, seed, author, clock, log, signal }: Seeding): Promise<void> => {
  while (!signal.aborted) {
    const outcome = await fleet.change(seed.change, { author, reason: `fleet file ${file}`, expected: 0 });
    switch (outcome.kind) {
      case 'accepted':
        return log.info({ file, version: outcome.version }, 'the application begins with the fleet file');
      case 'unchanged':
        return log.info({ file }, 'the fleet file asks for nothing');
      case 'moved':
        return log.info(
          { file, version: outcome.version, by: outcome.by },
          'the application has an intent already: the fleet file is not used',
        );
      case 'invalid':
      case 'refused': {
        const reason = outcome.kind === 'refused' ? outcome.reason : JSON.stringify(outcome.problems);
        return log.error({ file, reason }, 'the fleet file is refused: change it and use troupe apply');
      }
      case 'unavailable':
        await paused(clock, signal);
    }
  }
};

const paused = async (clock: Clock, signal: AbortSignal): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _later = clock.after(pauseMs, resolve);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
};
