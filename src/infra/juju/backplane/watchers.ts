/**
 * Relations to those who watch over this application. Juju tells of each change of a bag by a hook of that relation: what a bag said
 * is kept in charm state, and read again when a hook is about it, so that no other hook pays for being watched.
 */
import { logLocationIn } from '../wire/loki-push-api.ts';
import type { Occasion, Reading } from './reading.ts';

export const watcherEndpoints = ['logging'] as const;
type WatcherEndpoint = (typeof watcherEndpoints)[number];

/** Where logs go: URLs, each once, in the order of the units of Loki. */
export const readLogLocations = async (reading: Reading, occasion: Occasion): Promise<readonly string[]> => {
  if (!isAbout(occasion, 'logging')) return (await reading.state()).state.watchers.logs;
  const locations = new Set<string>();
  for (const { relation } of await reading.of('logging')) {
    for (const unit of await reading.units(relation)) {
      const bag = await reading.bag(relation, unit, 'unit');
      const location = bag === null ? null : logLocationIn(bag);
      if (location !== null) locations.add(location);
    }
  }
  return [...locations];
};

const isAbout = ({ relationsAnew, about, broken }: Occasion, endpoint: WatcherEndpoint): boolean =>
  relationsAnew || (about?.relation ?? broken)?.endpoint === endpoint;
