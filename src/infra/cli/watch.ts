/** A fleet that is watched: on a terminal one table that is drawn anew in its place, elsewhere a line for each change. */
import type { FleetStatus } from '../../actors/model/status.ts';
import type { Read } from './answer.ts';
import { changesIn } from './changes.ts';
import type { Output } from './progress.ts';
import { cut, paintWith, plain } from './screen.ts';
import { statusTable } from './status-table.ts';

export interface View extends Disposable {
  show(status: Read<FleetStatus>): void;
  /** The unit that was asked is lost. */
  lost(reason: string): void;
}

export interface Outputs {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly colour: boolean;
}

/** A status a line, as it came. */
export const jsonView = ({ stdout, stderr }: Outputs): View => ({
  show: ({ json }) => void stdout.write(`${JSON.stringify(json)}\n`),
  lost: onceEach((reason) => void stderr.write(`troupe: ${plain(reason)}; looking for another unit\n`)),
  [Symbol.dispose]: () => {},
});

/** What is different from before, with the time. The first status is all new. */
export const lineView = (outputs: Outputs): View => {
  let before: FleetStatus | null = null;
  return {
    ...jsonView(outputs),
    show: ({ value }) => {
      const at = new Date().toISOString();
      for (const change of changesIn(before, value)) outputs.stdout.write(`${at} ${plain(change)}\n`);
      before = value;
    },
  };
};

/** The same reason again and again is told once. */
const onceEach = (tell: (reason: string) => void): ((reason: string) => void) => {
  let last: string | null = null;
  return (reason) => {
    if (reason !== last) tell(reason);
    last = reason;
  };
};

const redrawMs = 1_000;
const [noWrap, wrap, eraseBelow, home] = ['\u001b[?7l', '\u001b[?7h', '\u001b[J', '\u001b[2J\u001b[H'];

export class LiveView implements View {
  readonly #outputs: Outputs;
  readonly #timer: NodeJS.Timeout;
  #status: FleetStatus | null = null;
  #note = '';
  #drawn = 0;
  #size = '';

  constructor(outputs: Outputs) {
    this.#outputs = outputs;
    // Ages grow although nothing changes.
    this.#timer = setInterval(() => this.#draw(), redrawMs);
  }

  show({ value }: Read<FleetStatus>): void {
    const earlier = this.#status?.answeredBy;
    if (earlier !== undefined && earlier !== value.answeredBy)
      this.#note = `${earlier} was lost; asking ${value.answeredBy} now`;
    else if (this.#note.endsWith(searching)) this.#note = '';
    this.#status = value;
    this.#draw();
  }

  lost(reason: string): void {
    this.#note = `${reason}${searching}`;
    this.#draw();
  }

  /** What was drawn last stays. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #draw(): void {
    if (this.#status === null) return;
    const { stdout, colour } = this.#outputs;
    const [columns, rows] = [stdout.columns ?? 80, stdout.rows ?? 24];
    const size = `${columns}x${rows}`;
    const dim = (text: string): string => paintWith(colour)(cut(plain(text), columns), 'dim');
    const head = `${this.#status.answeredBy} at ${new Date().toTimeString().slice(0, 8)}${this.#note === '' ? '' : `: ${this.#note}`} (Ctrl-C ends)`;
    const table = statusTable(this.#status, { colour, width: columns }).split('\n');
    const room = Math.max(rows - 3, 1);
    const left = table.length - room;
    const lines = [dim(head), '', ...table.slice(0, room), ...(left > 0 ? [dim(`… ${left} more lines`)] : [])];
    // After a change of size nobody knows where the lines are.
    const back = this.#drawn === 0 ? '' : size === this.#size ? `\u001b[${this.#drawn}A\r` : home;
    stdout.write(`${back}${eraseBelow}${noWrap}${lines.join('\n')}\n${wrap}`);
    this.#drawn = lines.length;
    this.#size = size;
  }
}

const searching = '; looking for another unit';
