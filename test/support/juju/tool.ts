import type { HookContext, LogRecord } from './hook-context.ts';

export interface ToolHelp {
  readonly directory: string;
  readonly input: () => Promise<string>;
  readonly print: (value: unknown, format: string) => string;
  readonly log: (record: LogRecord) => void;
}
/** Resolves to what goes to stdout; rejects with ToolFault. */
export type Tool = (context: HookContext, args: readonly string[], help: ToolHelp) => Promise<string>;
