import { codeOf } from '../files/system-error.ts';
import type { Change } from './answers.ts';

/** What went wrong with a question to Pebble, told apart by what a caller can do about it. */
export type Trouble =
  /** Nobody answers: the container is not there yet, or starts again. It comes by itself. */
  | { readonly kind: 'away' }
  /** It answers that it is about to restart, or to end. It comes by itself too. */
  | { readonly kind: 'restarting' }
  /** Pebble says no. `word` is its name for the kind of error, for most of them there is none. */
  | { readonly kind: 'refused'; readonly status: number; readonly word: string | null }
  /** What answers does not speak Pebble's API: a defect here or there. */
  | { readonly kind: 'protocol' }
  /** It was begun and did not work, as the change says. */
  | { readonly kind: 'change'; readonly change: Change }
  /** The caller no longer wants the answer. */
  | { readonly kind: 'cancelled' };

/** All that the client rejects with. Its message is a clause for a sentence. */
export class PebbleError extends Error {
  override readonly name = 'PebbleError';
  readonly trouble: Trouble;
  constructor(trouble: Trouble, message: string, cause?: unknown) {
    super(message, { cause });
    this.trouble = trouble;
  }
}

export const isRefused = (cause: unknown, word: string): boolean =>
  cause instanceof PebbleError && cause.trouble.kind === 'refused' && cause.trouble.word === word;

/** Whatever happened to a connection before there was an answer. */
export const awayBecause = (socket: string, cause: unknown): PebbleError =>
  new PebbleError({ kind: 'away' }, `Pebble does not answer at ${socket}: ${reasonOf(cause)}`, cause);

export const noProtocol = (what: string, cause?: unknown): PebbleError =>
  new PebbleError({ kind: 'protocol' }, `what answers in the place of Pebble is not its API: ${what}`, cause);

export const cancelled = (): PebbleError => new PebbleError({ kind: 'cancelled' }, 'the question was cancelled');

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket yet',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EACCES: 'this account may not use it',
};

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError') return 'no answer in time';
  return reasons[String(codeOf(cause))] ?? cause.message;
};
