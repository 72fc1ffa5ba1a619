/**
 * PgBouncer has no switch to check a file. Given a copy that lets it listen nowhere, it reads everything, sets up TLS and ends with
 * the words "nowhere to listen on": whatever else it says is what it has against the file. What it would serve with a mere warning
 * (an auth file it cannot read) is refused too.
 *
 * 1.18, 1.24 and 1.26 say no other ERROR or WARNING about a file that is right, so none is excused. They take silently what this
 * cannot find: numbers in connection strings that are none, limits below zero.
 */

/** In the copy these would let it listen, write where the real process writes, or make copies differ that are alike otherwise. */
const dropped: ReadonlySet<string> = new Set([
  'listen_addr',
  'unix_socket_dir',
  'pidfile',
  'logfile',
  'syslog',
  'peer_id',
  'syslog_ident',
]);
const nowhere = ['listen_addr =', 'unix_socket_dir =', 'pidfile =', 'logfile ='];

/** The copy to run; `authFile`, when given, is the one to prove, since the one that the ini names is still the one in use. */
export const dryRunCopy = (ini: string, authFile?: string): string => {
  const lines = ini.trimEnd().split('\n');
  const main = lines.indexOf('[pgbouncer]');
  const kept = lines.filter((line, index) => index < main || !isDropped(line, authFile !== undefined));
  return [...kept, ...(authFile === undefined ? [] : [`auth_file = ${authFile}`]), ...nowhere, ''].join('\n');
};

const isDropped = (line: string, alsoAuthFile: boolean): boolean => {
  const key = /^\s*(\w+)\s*=/.exec(line)?.[1] ?? '';
  return dropped.has(key) || (alsoAuthFile && key === 'auth_file');
};

export type DryRun = { readonly kind: 'proven' } | { readonly kind: 'refused'; readonly reason: string };

/** `exitCode` null: it was killed. */
export const readDryRun = (exitCode: number | null, stderr: string): DryRun => {
  const said = stderr.split('\n').flatMap((line) => {
    const [, level, words] = /^(?:\S+ \S+ \S+ \[\d+\] )?(WARNING|ERROR|FATAL) (.*)$/.exec(line) ?? [];
    return level === undefined || words === undefined ? [] : [words.trim()];
  });
  const complaints = said.filter((words) => words !== end);
  if (exitCode === 1 && said.at(-1) === end && complaints.length === 0) return { kind: 'proven' };
  // The last word about a file that does not load says only that; those before it say why.
  const reasons =
    complaints.length > 1 ? complaints.filter((words) => words !== 'cannot load config file') : complaints;
  const words = reasons.slice(0, 3).join('; ');
  return { kind: 'refused', reason: words === '' ? wordless(exitCode, stderr) : `PgBouncer says: ${words}` };
};

const end = 'nowhere to listen on';

const wordless = (exitCode: number | null, stderr: string): string =>
  `PgBouncer ended its dry run with ${exitCode === null ? 'a signal' : `exit code ${exitCode}`}: ${stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? ''}`;
