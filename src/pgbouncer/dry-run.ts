/**
 * PgBouncer has no switch that checks a file. A copy that gives it nowhere to listen makes it read everything, set up TLS, and end
 * with exactly that complaint; whatever else it says is what is wrong with the file.
 */

/** Keys that would let the copy listen, log to real files, or differ between instances that are otherwise alike. */
const left: ReadonlySet<string> = new Set([
  'listen_addr',
  'unix_socket_dir',
  'pidfile',
  'logfile',
  'syslog',
  'peer_id',
  'auth_file',
]);

/** The copy to run; `authFile` is the one under proof instead of the one in use. */
export const dryRunCopy = (ini: string, authFile: string): string => {
  const kept = ini.split('\n').filter((line) => !left.has(line.slice(0, Math.max(line.indexOf('='), 0)).trim()));
  const nowhere = ['listen_addr', 'unix_socket_dir', 'pidfile', 'logfile'].map((key) => `${key} =`);
  return [...kept, `auth_file = ${authFile}`, ...nowhere, ''].join('\n');
};

export type DryRun = { readonly kind: 'proven' } | { readonly kind: 'refused'; readonly reason: string };

/** Exit code 1 and `nowhere to listen on` as the last word, with no error or warning before it. */
export const readDryRun = (exitCode: number, stderr: string): DryRun => {
  const said = stderr.split('\n').flatMap((line) => {
    const [, level, text] = /\b(WARNING|ERROR|FATAL)\b:?\s*(.*)$/.exec(line) ?? [];
    return level === undefined || text === undefined ? [] : [{ level, text: text.trim() }];
  });
  const complaints = said.filter(({ text }) => text !== 'nowhere to listen on').map(({ text }) => text);
  if (exitCode === 1 && said.at(-1)?.text === 'nowhere to listen on' && complaints.length === 0)
    return { kind: 'proven' };
  return {
    kind: 'refused',
    reason:
      complaints.length > 0
        ? complaints.slice(0, 3).join('; ')
        : `PgBouncer ended its dry run with exit code ${exitCode} and no words`,
  };
};
