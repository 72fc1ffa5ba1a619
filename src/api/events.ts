/** Server-sent events as both sides need them: https://html.spec.whatwg.org/multipage/server-sent-events.html, without ids. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** Name of the event that carries a fleet status. */
export const statusEvent = 'status';
/** The server says at least this often that it is alive; a reader gives up after a few of them. */
export const aliveMs = 2_000;
/** A comment: keeps the connection, means nothing. */
export const aliveText = ':\n\n';

/** `data` is one line (JSON is). */
export const encodeEvent = ({ event, data }: ServerEvent): string => `event: ${event}\ndata: ${data}\n\n`;

/** Takes a stream in whatever pieces it comes, gives the events that are complete. Throws when one outgrows `maxLength`. */
export const createEventReader = (maxLength = 32 * 1024 * 1024): ((chunk: string) => readonly ServerEvent[]) => {
  let rest = '';
  let event = '';
  let data: string[] = [];
  const takeLine = (line: string): readonly ServerEvent[] => {
    if (line === '') {
      const complete = data.length === 0 ? [] : [{ event: event === '' ? 'message' : event, data: data.join('\n') }];
      event = '';
      data = [];
      return complete;
    }
    const [, field, value] = /^([^:]*)(?::[ ]?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') event = value ?? '';
    if (field === 'data') data.push(value ?? '');
    return [];
  };
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    const length = rest.length + data.reduce((sum, line) => sum + line.length, 0);
    if (length > maxLength) throw new Error(`an event is longer than ${maxLength} characters`);
    return lines.flatMap((line) => takeLine(line.endsWith('\r') ? line.slice(0, -1) : line));
  };
};
