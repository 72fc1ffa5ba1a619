import type { Log } from '../files/log.ts';
import type { JujuTools, LogLevel } from './tools.ts';

/** Each line is a process: they are kept until the end of the dispatch, and those of one level go together. */
export class JujuLog implements Log {
  readonly #lines: { readonly level: LogLevel; readonly line: string }[] = [];

  debug(): void {} // Nobody asks Juju for these.
  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#add('INFO', fields, message);
  }
  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#add('WARNING', fields, message);
  }
  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#add('ERROR', fields, message);
  }

  async write(tools: Pick<JujuTools, 'log'>): Promise<void> {
    const levels = Map.groupBy(this.#lines.splice(0), ({ level }) => level);
    for (const [level, lines] of levels) await tools.log(level, lines.map(({ line }) => line).join('\n'));
  }

  #add(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): void {
    const said = Object.entries(fields).map(([key, value]) => `${key}=${textOf(value)}`);
    this.#lines.push({ level, line: [message, ...said].join(' ') });
  }
}

const textOf = (value: unknown): string => {
  if (value instanceof Error) return value.stack ?? value.message;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
};
