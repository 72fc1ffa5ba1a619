import { posix } from 'node:path';
import type { Ownership } from './client.ts';

/** Where a unit keeps its PgBouncers in the container: one directory for each instance, one auth file for all. */
export interface Places {
  readonly root: string;
  readonly instances: string;
  readonly sockets: string;
  readonly authFile: string;
  /** Who may log in at the consoles, and from where. */
  readonly rules: string;
  /** The logins that the unit made for itself. Only Pebble's own account may read it. */
  readonly logins: string;
  /** With what the exporters of metrics log in, as libpq reads it. */
  readonly passwords: string;
  /** Key, certificate and authorities for clients, in a directory for each content. */
  readonly tls: string;
  /** What the program on disk said of its version. */
  readonly program: string;
  /** Which processes were verified last, and with what files. Only Pebble's own account may write it. */
  readonly verified: string;
  /** As what a whole look found nothing to do. Only Pebble's own account may write it. */
  readonly settled: string;
  /** Copies that are tried out before anything is written. */
  readonly proving: string;
}

export interface InstancePlace {
  readonly id: number;
  readonly service: string;
  readonly directory: string;
  readonly ini: string;
  readonly socketDir: string;
  /** That this very process was paused: before 1.19 it cannot tell. */
  readonly paused: string;
}

export const placesIn = (root: string): Places => ({
  root,
  instances: posix.join(root, 'instances'),
  sockets: posix.join(root, 'run'),
  authFile: posix.join(root, 'userlist.txt'),
  rules: posix.join(root, 'hba.conf'),
  logins: posix.join(root, 'logins.json'),
  passwords: posix.join(root, 'exporter.pgpass'),
  tls: posix.join(root, 'tls'),
  program: posix.join(root, 'program.json'),
  verified: posix.join(root, 'verified.json'),
  settled: posix.join(root, 'settled.json'),
  proving: posix.join(root, 'proving'),
});

export const instancePlace = ({ instances, sockets }: Places, id: number): InstancePlace => {
  const directory = posix.join(instances, String(id));
  return {
    id,
    service: `pgbouncer_${id}`,
    directory,
    ini: posix.join(directory, 'pgbouncer.ini'),
    socketDir: posix.join(sockets, String(id)),
    paused: posix.join(directory, 'paused.json'),
  };
};

/** The number of the instance that a process was started for; null when it is none of ours. */
export const instanceIn = ({ instances }: Places, argument: string): number | null => {
  const [, id] = /^\/([1-9]\d*)\/pgbouncer\.ini$/.exec(argument.slice(instances.length)) ?? [];
  return argument.startsWith(instances) && id !== undefined ? Number(id) : null;
};

/** For the account that instances run as, and for nobody else. */
export const directoriesOf = (places: Places, ids: readonly number[], owner: Ownership) =>
  [
    places.root,
    places.instances,
    places.sockets,
    places.proving,
    places.tls,
    ...ids.map((id) => instancePlace(places, id)).flatMap(({ directory, socketDir }) => [directory, socketDir]),
  ].map((path) => ({ path, withParents: true, permissions: '700', ...owner }));
