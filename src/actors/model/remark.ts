/** What a person should know of a unit that serves all the same. Ids are as stable as those of waits. */
export interface Remark {
  readonly id: RemarkId;
  readonly message: string;
  /** Monotonic ms. */
  readonly since: number;
}

/** When each comes and what to do, for the page. */
export const remarkMeans = {
  'unheeded-option':
    'An option that somebody set is not known to the PgBouncer of this unit, which leaves it out. Install the version named or a newer one there, or take the option back.',
  'unheeded-setting':
    'A time that somebody set for one client is not known to the PgBouncer of this unit, which leaves it out. Install the version named or a newer one there, or take the setting back. At most ten are told.',
  'other-program':
    'PgBouncer was upgraded on disk, and an instance still runs the program of before. It changes over when it is restarted next; nothing has to be done.',
  'few-descriptors':
    'The limit of open files of a process is lower than what `max_client_conn` and the pools could need. Raise it (`LimitNOFILE=`, `--ulimit nofile=`), or lower `max_client_conn`.',
  'before-leader':
    'Only in a refresh from the charm of the same name by another maker, on a unit that is refreshed before the one that leads: it serves the clients whose logins that charm kept in secrets, and takes what the leader publishes when that one is refreshed. Let the refresh go on.',
  'kept-limit':
    'Only as a charm that was refreshed from the one of the same name by another maker. That one gave every PgBouncer the whole of `max_db_connections`, this one divides it among all of them: the fleet keeps what it had together until you set another value, which is for the whole fleet, or say so with the action `confirm-connection-limit`.',
  'no-exporter':
    'Only as a charm that is related by `metrics-endpoint`: the image of the workload has no `pgbouncer_exporter` on its path, so this unit offers no metrics, and its alerts and dashboard show nothing of it. Clients are served all the same. Run the charm with an image that has one, 0.12 or newer, or remove the relation.',
  repaired:
    'Somebody changed by hand what the unit keeps: a file, or a setting on the console of PgBouncer. It was put right. Change options with `troupe config`. Told for an hour.',
  replaced: 'An instance ended or hung and was started again. Look at its log when it comes often. Told for an hour.',
  'lost-state':
    'Something in the state directory was damaged or missing when the unit started. It goes on with what the sentence says. Look at the disk. Told until the unit ends.',
  'damaged-databag':
    'What a unit told the others cannot be read in the store: somebody else wrote there, or the store went wrong. The others go by what it said before. It writes it anew by itself when it runs.',
} as const satisfies Readonly<Record<string, string>>;
export type RemarkId = keyof typeof remarkMeans;

/** What was found; with its instant where it has one. */
export type Finding = Omit<Remark, 'since'> & { readonly since?: number };

/** Keeps `since` of what was remarked before, by id and message. The order is that of `found`. */
export const remarksOf = (before: readonly Remark[], found: readonly Finding[], now: number): readonly Remark[] =>
  found.map((remark) => ({
    ...remark,
    since:
      remark.since ?? before.find(({ id, message }) => id === remark.id && message === remark.message)?.since ?? now,
  }));

/** What comes again and again says how often. */
export const counted = (message: string, times: number): string =>
  times === 1 ? message : `${message} (${times} times)`;
const uncounted = (message: string): string => message.replace(/ \(\d+ times\)$/, '');

/** Those that were not there before; one that only counts on was. */
export const remarksNew = (before: readonly Remark[], after: readonly Remark[]): readonly Remark[] =>
  before === after
    ? []
    : after.filter(
        ({ id, message }) => !before.some((one) => one.id === id && uncounted(one.message) === uncounted(message)),
      );
