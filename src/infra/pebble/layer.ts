import type { InstancePlace } from './places.ts';
import type { Unit } from './unit.ts';

export const layerLabel = 'pgbouncer';

/**
 * The layer in which each instance is a service. Pebble forgets it whenever it starts, and has no way to remove a service from it:
 * their names are the same for ever, and one that is no longer wanted is merely stopped. Nothing but us starts them. One that
 * crashes is started again by Pebble, because nobody else looks before the next hook; one that ends well has been drained.
 */
export const layerOf = (unit: Unit, program: string, door: Door) => ({
  summary: 'PgBouncers of this unit',
  services: Object.fromEntries(unit.instances.map(({ place }) => [place.service, serviceOf(unit, program, place)])),
  checks: { [checkName]: checkOf(unit, door) },
});

/** Where any PgBouncer of the unit takes clients. */
export interface Door {
  readonly host: string;
  readonly port: number;
}

const checkName = 'pgbouncer';

/**
 * Kubernetes gives new clients to a pod while no check of level `ready` is down; who is connected stays so, and nothing is restarted
 * for it. Whether PostgreSQL can be reached does not count: no unit would be left, and clients can wait in PgBouncer. PgBouncer says
 * nothing in its log of who connects and goes away at once. Juju runs a hook when the check goes down, and one when it is up again.
 */
const checkOf = ({ checkPeriodMs }: Unit, { host, port }: Door) => ({
  override: 'replace',
  level: 'ready',
  period: `${checkPeriodMs}ms`,
  timeout: `${Math.ceil(checkPeriodMs / 2)}ms`,
  // An instance that is restarted is back sooner.
  threshold: 3,
  tcp: { host, port },
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
