/**
 * The plan of a change: from what is on disk and running to what was rendered, with the least that clients can notice. It may be
 * broken off after any step, and steps may fail: the next plan is made from what is found then and ends in the same place.
 *
 * What is dead or deaf is started first, because clients may be waiting for it. The rest loads its new file by RELOAD. Only what
 * PgBouncer takes over at its start alone costs a process, and then one after the other, so that the address stays served.
 */
import { type BackendServer, textOf } from '../actors/model/backend.ts';
import type { Inspection, InstanceFact, Rendered, Step } from '../actors/model/workload.ts';
import { optionOf } from './catalogue.ts';
import { databasesIn, settingsIn, usersIn } from './ini.ts';
import { canaryOfLast } from './show.ts';
import { settingsAmiss } from './verify.ts';
import { compareVersions } from './version.ts';

/** Empty when disk and processes are as rendered; else its last step is `verify`. */
export const planChange = (
  inspection: Inspection,
  wanted: Rendered,
  abandoned: readonly BackendServer[] = [],
): readonly Step[] => {
  const dead = new Set(abandoned.map(textOf));
  const tasks = wanted.instances.map((rendered) => taskOf(inspection, wanted, rendered, dead));
  const which = (is: (task: Task) => boolean): readonly number[] => tasks.filter(is).map(({ id }) => id);
  const needing = (...needs: readonly Task['need'][]) => which(({ need }) => needs.includes(need));
  const moving = which(({ need, moves }) => need === 'load' && moves);
  // Nobody else may have paused one: who did has died in between, and its clients wait. A restart ends that too.
  const paused = which(({ id, need, paused }) => moving.includes(id) || (paused && need !== 'restart'));
  const steps: readonly Step[] = [
    ...(isWritten(inspection.disk, wanted) ? [] : filesOf(wanted)),
    ...on('stop', needing('replace')),
    ...on('start', needing('start', 'replace')),
    ...on('pause', moving),
    ...on('reload', needing('load')),
    ...on('resume', paused),
    ...needing('restart').flatMap((id) => [...on('stop', [id]), ...on('start', [id])]),
  ];
  return steps.length === 0 ? [] : [...steps, { type: 'verify', rendered: wanted }];
};

interface Task {
  readonly id: number;
  /** `start` what is absent, `replace` what is deaf, `restart` what a reload cannot mend, `load` the file, or nothing. */
  readonly need: 'nothing' | 'load' | 'restart' | 'start' | 'replace';
  readonly paused: boolean;
  /** A database goes to another server, and the pools are such that clients can be held back meanwhile. */
  readonly moves: boolean;
}

/**
 * The files are written before a pause, not within it: so a pause that cannot be had (its server is dead, a client never ends its
 * transaction) is tried once only, since the next plan finds the files written and loads them.
 */
const filesOf = (rendered: Rendered): readonly Step[] => [
  { type: 'prove', rendered },
  { type: 'write', rendered },
];

/** SIGINT, with which a stop begins, lets transactions end; after the SIGTERM of a drain it cuts them off (1.18, 1.24, 1.26): no drain. */
const on = (type: 'stop' | 'start' | 'pause' | 'reload' | 'resume', instances: readonly number[]): readonly Step[] =>
  instances.length === 0 ? [] : [{ type, instances }];

type Disk = Inspection['disk'];

const iniOn = (disk: Disk, id: number): string | null => disk.instances.find((one) => one.id === id)?.ini ?? null;

const hasAuthFile = ({ authFile }: Disk, wanted: Rendered): boolean => authFile?.equals(wanted.authFile) ?? false;

const hasTlsFiles = (disk: Disk, { tls }: Rendered): boolean => tls === undefined || tls === null || disk.tls === true;

const isWritten = (disk: Disk, wanted: Rendered): boolean =>
  hasAuthFile(disk, wanted) &&
  hasTlsFiles(disk, wanted) &&
  wanted.instances.every(({ id, ini }) => iniOn(disk, id) === ini);

const taskOf = (
  inspection: Inspection,
  wanted: Rendered,
  { id, ini }: Rendered['instances'][number],
  dead: ReadonlySet<string>,
): Task => {
  const fact = inspection.instances.find((instance) => instance.id === id);
  const idle = { id, paused: false, moves: false } as const;
  if (fact === undefined || fact.state === 'absent') return { ...idle, need: 'start' };
  if (fact.state === 'hung') return { ...idle, need: 'replace' };
  const paused = fact.paused || (fact.halted ?? []).length > 0;
  const before = iniOn(inspection.disk, id);
  const settings = settingsIn(ini);
  const amiss = amissIn(fact, settings, before);
  const isLoaded =
    fact.canary === wanted.canary && before === ini && hasAuthFile(inspection.disk, wanted) && amiss.length === 0;
  // No reload makes a socket.
  if (fact.unlinked === true || amiss.some(takesRestart)) return { ...idle, paused, need: 'restart' };
  if (isLoaded) return { ...idle, paused, need: 'nothing' };
  // Files are rendered for the program on disk and proven by it: a process of another one may refuse them half way.
  if (isOfAnotherVersion(fact, inspection)) return { ...idle, paused, need: 'restart' };
  return { id, paused, need: 'load', moves: before !== null && moves(before, ini, fact, dead) };
};

/** Settings that are not in force. Without the process's own word the file on disk has to stand for it. */
export const amissIn = (
  { settings: shown }: InstanceFact,
  wanted: ReadonlyMap<string, string>,
  before: string | null,
): readonly string[] => {
  if (shown !== undefined && shown !== null) return settingsAmiss(wanted, shown);
  const was = settingsIn(before ?? '');
  return was.size === 0 ? [] : [...wanted.keys()].filter((key) => was.get(key) !== wanted.get(key));
};

/** RELOAD answers success and ignores these. */
export const takesRestart = (key: string): boolean => optionOf(key)?.restart === true || givenAtStart.has(key);
const givenAtStart: ReadonlySet<string> = new Set([
  'listen_addr',
  'unix_socket_dir',
  'unix_socket_mode',
  'so_reuseport',
]);

const isOfAnotherVersion = ({ version }: InstanceFact, { binary }: Inspection): boolean =>
  version !== null && binary.kind === 'found' && compareVersions(version, binary.version) !== 0;

/**
 * A pause keeps clients from writing to the old server after the first of them has written to the new one. In session mode it would
 * wait for every client to leave, and for a dead server in vain: there, the reload alone has to do. `before` counts only if it is what the process has loaded.
 */
const moves = (before: string, after: string, fact: InstanceFact, dead: ReadonlySet<string>): boolean => {
  const was = settingsIn(before);
  if (!showsLastOf(was, fact) || was.get('pool_mode') === 'session' || hasSessions(before)) return false;
  const databases = databasesIn(after);
  const moved = [...databasesIn(before)].filter(([name, old]) => {
    const now = databases.get(name);
    // Who only reads is held back for nothing.
    if (now?.has('connect_query') === true) return false;
    return now !== undefined && ['host', 'port', 'dbname'].some((key) => now.get(key) !== old.get(key));
  });
  // A pause is of all databases: one of them is enough for it to wait in vain.
  const isDead = ([, old]: (typeof moved)[number]): boolean =>
    dead.has(textOf({ host: old.get('host') ?? '', port: Number(old.get('port')) }));
  return moved.length > 0 && !moved.some(isDead);
};

const hasSessions = (ini: string): boolean =>
  [...usersIn(ini).values()].some((settings) => settings.get('pool_mode') === 'session');

const showsLastOf = (file: ReadonlyMap<string, string>, { settings, canary }: InstanceFact): boolean => {
  const last = file.get('syslog_ident') ?? '';
  return settings === undefined || settings === null
    ? canaryOfLast(last) === canary
    : settings['syslog_ident'] === last;
};
