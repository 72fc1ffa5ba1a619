/** PgBouncer's own words: what its log says went wrong, without time, process id and level. */
export const troubles = (log: string): readonly string[] =>
  log.split('\n').flatMap((line) => {
    const [, level, text] = logLine.exec(line) ?? [];
    return level === undefined || text === undefined || aboutConnection.test(text) ? [] : [text.trim()];
  });

/** The last few of them as one clause; empty when the log says nothing. */
export const lastTroubles = (log: string): string => quoted([...new Set(troubles(log))].slice(-3));

export const quoted = (words: readonly string[]): string =>
  words.length === 0 ? '' : `PgBouncer says: ${words.join('; ')}`;

/** What it says of files while it loads them. */
export const aboutFiles =
  /config file|configuration|invalid value|unknown parameter|auth_file|auth file|hba|TLS setup failed|losing forced user|RELOAD failed/i;

const logLine = /^\S+ \S+ \S+ \[\d+\] (ERROR|FATAL|WARNING) (?:@\S+ in function \S+ )?(.*)$/;
/** What happens to one client or server is no fault of a step: `C-0x55d0c0: db/user@address …`. */
const aboutConnection = /^[CS]-0x/;
