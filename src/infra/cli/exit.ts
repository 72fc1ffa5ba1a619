/** Exit codes, a public contract. */
export const exit = {
  ok: 0,
  failed: 1,
  /** Usage or bad input. */
  usage: 2,
  /** No unit reachable. */
  unreachable: 3,
  /** Refused for a stated reason. */
  refused: 4,
  /** Kept, but not everywhere in time. */
  late: 5,
} as const;
export type Exit = (typeof exit)[keyof typeof exit];

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
