/**
 * PgBouncer has no switch to check a file. Given a copy that lets it listen nowhere, it reads everything, sets up TLS and ends with
 * the words "nowhere to listen on": whatever else it says is what it has against the file. What it would serve with a mere warning
 * (an auth file it cannot read) is refused too.
 *
 * 1.18, 1.24 and 1.26 say no other ERROR or WARNING about a file that is right, so none is excused. They take silently what this
 * cannot find: numbers in connection strings that are none, limits below zero.
 */
import type { TlsFiles } from '../actors/model/workload.ts';

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

type TlsPaths = Pick<TlsFiles, 'keyFile' | 'certificateFile' | 'authoritiesFile'>;

/**
 * The copy to run; `authFile` and `tls`, when given, are those to prove, since what the ini names is still in use or not there yet.
 */
export const dryRunCopy = (ini: string, authFile?: string, tls?: TlsPaths | null): string => {
  const lines = ini.trimEnd().split('\n');
  const main = lines.indexOf('[pgbouncer]');
  const replaced = [
    ...(authFile === undefined ? [] : [['auth_file', authFile] as const]),
    ...(tls === undefined || tls === null ? [] : tlsLines(tls)),
  ];
  const gone = new Set([...dropped, ...replaced.map(([key]) => key)]);
  const kept = lines.filter((line, index) => index < main || !gone.has(/^\s*(\w+)\s*=/.exec(line)?.[1] ?? ''));
  return [...kept, ...replaced.map(([key, value]) => `${key} = ${value}`), ...nowhere, ''].join('\n');
};

/** A file that tries out nothing but these. */
export const tlsDryRun = (tls: TlsPaths): string =>
  dryRunCopy('[pgbouncer]\nclient_tls_sslmode = prefer\n', undefined, tls);

const tlsLines = ({ keyFile, certificateFile, authoritiesFile }: TlsPaths) =>
  [
    ['client_tls_key_file', keyFile],
    ['client_tls_cert_file', certificateFile],
    ['client_tls_ca_file', authoritiesFile],
  ] as const;

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
