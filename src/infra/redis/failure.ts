/**
 * What a failed command means. The texts are those of ioredis 6 and of the servers; only this file looks at them.
 * `notSent`: the server did nothing. `unknown`: it may have. `partial`: a script of ours broke off, which is a defect, a missing
 * right, or somebody else's hand in our keys.
 */
export type Failure = 'notSent' | 'unknown' | 'partial';

const refusedUnrun =
  /^(?:-?)(MOVED|ASK|CLUSTERDOWN|TRYAGAIN|NOAUTH|WRONGPASS|NOPERM|LOADING|READONLY|NOREPLICAS|OOM|BUSY|NOSCRIPT|MASTERDOWN|MISCONF)\b/;

export const failureOf = (cause: unknown): Failure => {
  if (!(cause instanceof Error)) return 'unknown';
  if (cause.message.startsWith("Stream isn't writeable")) return 'notSent';
  // Said before the script ran; the same words from within a script name its line.
  if (refusedUnrun.test(cause.message) && !cause.message.includes('script: ')) return 'notSent';
  return cause.name === 'ReplyError' ? 'partial' : 'unknown';
};

/** The server turns us away until a person changes something. */
export const isRefusedLogin = (cause: Error): boolean => /^(WRONGPASS|NOAUTH|NOPERM)\b/.test(cause.message);

export const isUnknownScript = (cause: unknown): boolean =>
  cause instanceof Error && cause.message.startsWith('NOSCRIPT');

export const sentenceOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.map(sentenceOf).join('; ');
  if (!(cause instanceof Error)) return String(cause);
  return cause.message === '' && 'code' in cause ? String(cause.code) : worded(cause.message);
};

/** What the client says in words of its own, in ours; what the server says stays as it is. */
const worded = (message: string): string => {
  const [, ms] = /^Socket timeout\..* (\d+)ms\.$/.exec(message) ?? [];
  if (ms !== undefined) return `no answer within ${ms} ms`;
  if (message.startsWith("Stream isn't writeable")) return 'there is no connection';
  return ownWords.get(message) ?? message;
};

const ownWords: ReadonlyMap<string, string> = new Map([
  ['Command timed out', 'no answer in time'],
  ['Connection is closed.', 'the connection was closed'],
]);
