import type { ErrorCode } from '../../api/errors.ts';

/** Exit codes, a public contract. */
export const exit = { ok: 0, failed: 1, usage: 2, unreachable: 3, refused: 4, late: 5 } as const;
export type Exit = (typeof exit)[keyof typeof exit];

/** What each says, for people. */
export const exitMeans: Readonly<Record<Exit, string>> = {
  [exit.ok]: 'done',
  [exit.failed]: 'failed',
  [exit.usage]: 'wrong usage or input',
  [exit.unreachable]: 'no unit answers',
  [exit.refused]: 'refused for a reason',
  [exit.late]: 'kept but not verified everywhere in time',
};

/** How a verb ends that the API answers with this error. */
export const exitOf: Readonly<Record<ErrorCode, Exit>> = {
  'malformed-request': exit.failed,
  'invalid-input': exit.usage,
  unauthorized: exit.refused,
  forbidden: exit.refused,
  'not-found': exit.failed,
  'unknown-unit': exit.usage,
  'unknown-client': exit.usage,
  'unknown-relation': exit.usage,
  'other-unit': exit.usage,
  'method-not-allowed': exit.failed,
  'too-slow': exit.failed,
  moved: exit.refused,
  'too-large': exit.failed,
  'unsupported-media-type': exit.failed,
  refused: exit.refused,
  'headers-too-large': exit.failed,
  internal: exit.failed,
  'not-yet': exit.refused,
  unavailable: exit.failed,
  'too-many-watchers': exit.failed,
};

/** Ends a command: what to tell on stderr, one sentence a line, and the code to exit with. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  readonly exit: Exit;
  readonly sentences: readonly string[];
  constructor(code: Exit, sentences: string | readonly string[], cause?: unknown) {
    const all = typeof sentences === 'string' ? [sentences] : sentences;
    super(all.join('; '), { cause });
    this.exit = code;
    this.sentences = all;
  }
}
