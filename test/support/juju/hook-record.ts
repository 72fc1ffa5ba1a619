/** What is known of a hook that ran, and how a test makes a call in it fail. */

/** A hook or action that ran. */
export interface RanHook {
  readonly unit: string;
  /** As Juju names it; an action as `action:<name>`. */
  readonly hook: string;
  /** Null when the process was killed. */
  readonly code: number | null;
  /** Exit 0, and the controller took what was staged. */
  readonly succeeded: boolean;
  readonly stdout: string;
  /** With what the controller said when it did not take it. */
  readonly stderr: string;
  readonly tookMs: number;
  readonly calls: readonly ToolCallRecord[];
}

export interface ToolCallRecord {
  readonly unit: string;
  readonly hook: string;
  /** From 0, within the dispatch. */
  readonly index: number;
  readonly tool: string;
  readonly args: readonly string[];
  /** What it was sent on stdin. */
  readonly input: string | null;
  /** Of its process: `NAME=value`, with a NUL between. Empty when it was none. */
  readonly environment: string;
  readonly code: number;
  /** After the dispatch began. */
  readonly askedAtMs: number;
  /** From the moment the tool asked to the moment it was answered; the start of its process is not in it. */
  readonly tookMs: number;
}

/**
 * What happens to a call: `before`, it fails and nothing is done; `after`, it is done and fails all the same; `killBefore` and
 * `killAfter`, the dispatch is killed at that point; `says`, it is refused in these words.
 */
export type Fault = 'before' | 'after' | 'killBefore' | 'killAfter' | { readonly says: string };
export type FaultAt = (call: {
  readonly unit: string;
  readonly hook: string;
  readonly index: number;
  readonly tool: string;
  readonly args: readonly string[];
}) => Fault | null;

/** The same hook fails again and again. */
export class HookFailed extends Error {
  override readonly name = 'HookFailed';
  readonly ran: RanHook;
  constructor(ran: RanHook) {
    const calls = ran.calls.map(({ tool, args, code }) => `  ${tool} ${args.join(' ')} (${code})`).join('\n');
    super(`${ran.unit} fails in ${ran.hook} with ${String(ran.code)}:\n${ran.stderr}\n${calls}`);
    this.ran = ran;
  }
}
