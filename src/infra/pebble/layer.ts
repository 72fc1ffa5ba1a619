import type { InstancePlace } from './places.ts';
import type { Unit } from './unit.ts';

export const layerLabel = 'pgbouncer';

/**
 * The layer in which each instance is a service. Pebble forgets it whenever it starts, and has no way to remove a service from it:
 * their names are the same for ever, and one that is no longer wanted is merely stopped. Nothing but us starts them. One that
 * crashes is started again by Pebble, because nobody else looks before the next hook; one that ends well has been drained.
 */
export const layerOf = (unit: Unit, program: string) => ({
  summary: 'PgBouncers of this unit',
  services: Object.fromEntries(unit.instances.map(({ place }) => [place.service, serviceOf(unit, program, place)])),
});

const serviceOf = ({ user, restartDelayMs }: Unit, program: string, { id, ini, directory }: InstancePlace) => ({
  override: 'replace',
  summary: `PgBouncer, instance ${id}`,
  startup: 'disabled',
  command: [program, ini].map(quoted).join(' '),
  'working-dir': directory,
  ...(user === null ? {} : { user }),
  'on-success': 'ignore',
  'on-failure': 'restart',
  'backoff-delay': `${restartDelayMs}ms`,
  'backoff-factor': 2,
  'backoff-limit': `${Math.max(30_000, restartDelayMs)}ms`,
  // It comes after a signal that lets transactions end.
  'kill-delay': '1s',
});

const quoted = (word: string): string => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
