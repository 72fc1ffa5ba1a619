/**
 * The plan of a change: from what is on disk and running to what was rendered, with the least done to clients. Pure, so that it
 * can be shown, broken off after any step and made anew from the next inspection.
 */
import type { Inspection, InstanceFact, Rendered, Step } from '../actors/model/workload.ts';
import { parseConnectionString } from './dialect.ts';
import { sectionIn, settingsIn } from './ini.ts';

/** Keys that a running process never takes over; a reload would say yes and do nothing. */
const restartOnly = ['listen_addr', 'listen_port', 'unix_socket_dir', 'unix_socket_mode', 'so_reuseport'] as const;

/** Empty when disk and processes are as rendered. Ends with `verify` otherwise. */
export const planChange = ({ disk, instances }: Inspection, wanted: Rendered): readonly Step[] => {
  const written = isWritten(disk, wanted);
  const files: readonly Step[] = written
    ? []
    : [
        { type: 'prove', rendered: wanted },
        { type: 'write', rendered: wanted },
      ];
  const ids = (which: (fact: InstanceFact) => boolean): readonly number[] =>
    instances.filter(which).map(({ id }) => id);
  const changed = (id: number): boolean => changesRestartOnly(iniOf(disk, id), iniOf(wanted, id));
  const absent = ids(({ state }) => state === 'absent');
  const hung = ids(({ state }) => state === 'hung');
  const restarting = ids(({ state, id }) => state === 'running' && changed(id));
  const loading = ids(
    ({ state, id, canary }) => state === 'running' && !changed(id) && (canary !== wanted.canary || !written),
  );
  const paused = ids(({ state, paused: is }) => state === 'running' && is);
  const steps: readonly Step[] = [
    ...reloading(disk, wanted, files, loading),
    // Without a valid reason for a pause, one that was left behind by somebody who died is an outage.
    ...(paused.length > 0 ? [{ type: 'resume', instances: paused } as const] : []),
    ...(hung.length > 0
      ? ([
          { type: 'stop', instances: hung },
          { type: 'start', instances: hung },
        ] as const)
      : []),
    ...(absent.length > 0 ? [{ type: 'start', instances: absent } as const] : []),
    // One after the other: the address they share stays served.
    ...restarting.flatMap((id): readonly Step[] => [
      { type: 'drain', instances: [id] },
      { type: 'stop', instances: [id] },
      { type: 'start', instances: [id] },
    ]),
  ];
  return steps.length === 0 ? [] : [...steps, { type: 'verify', rendered: wanted }];
};

type Disk = Inspection['disk'];

const iniOf = ({ instances }: Disk | Rendered, id: number): string | null =>
  instances.find((instance) => instance.id === id)?.ini ?? null;

const isWritten = (disk: Disk, wanted: Rendered): boolean =>
  disk.authFile !== null &&
  disk.authFile.equals(wanted.authFile) &&
  wanted.instances.every(({ id, ini }) => iniOf(disk, id) === ini);

const changesRestartOnly = (before: string | null, after: string | null): boolean => {
  if (before === null || after === null) return false;
  const [was, is] = [settingsIn(before), settingsIn(after)];
  return was.size > 0 && restartOnly.some((key) => was.get(key) !== is.get(key));
};

/**
 * A repoint waits for transactions in progress, so that nothing is written to the old server afterwards; PAUSE would wait for ever
 * in session mode, where every client holds its server: there the reload alone has to do.
 */
const reloading = (
  disk: Disk,
  wanted: Rendered,
  files: readonly Step[],
  loading: readonly number[],
): readonly Step[] => {
  if (loading.length === 0) return files;
  const repointed = loading.some((id) => movesDatabase(iniOf(disk, id), iniOf(wanted, id)));
  if (!repointed) return [...files, { type: 'reload', instances: loading }];
  return [
    ...files.filter(({ type }) => type === 'prove'),
    { type: 'pause', instances: loading },
    ...files.filter(({ type }) => type === 'write'),
    { type: 'reload', instances: loading },
    { type: 'resume', instances: loading },
  ];
};

const movesDatabase = (before: string | null, after: string | null): boolean => {
  if (before === null || after === null || settingsIn(after).get('pool_mode') === 'session') return false;
  const was = sectionIn(before, 'databases');
  return [...sectionIn(after, 'databases')].some(([name, entry]) => {
    const earlier = was.get(name);
    return earlier !== undefined && serverOf(earlier) !== serverOf(entry);
  });
};

const serverOf = (entry: string): string => {
  const pairs = parseConnectionString(entry);
  return ['host', 'port', 'dbname'].map((key) => pairs.get(key) ?? '').join('\n');
};
