import { cut, plain } from './screen.ts';

/** Where people read: a terminal, a file or a pipe. */
export interface Output {
  write(text: string): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Null where nobody looks at a screen: then nothing is wrapped or cut. */
export const screenWidth = ({ isTTY, columns }: Output): number | null => (isTTY === true ? (columns ?? 80) : null);

/** What is being waited for. On a terminal one line that moves and is gone at the end; elsewhere one line per change. */
export interface Progress extends Disposable {
  show(text: string): void;
}

export const progressOn = (output: Output): Progress =>
  output.isTTY === true ? new Spinner(output) : new Lines(output);

const frames = Array.from('⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏');
const frameMs = 100;

class Spinner implements Progress {
  readonly #output: Output;
  #timer: NodeJS.Timeout | null = null;
  #text = '';
  #frame = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  show(text: string): void {
    this.#text = plain(text);
    this.#timer ??= setInterval(() => this.#draw(), frameMs).unref();
    this.#draw();
  }

  [Symbol.dispose](): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#output.write('\r\u001b[K');
  }

  #draw(): void {
    this.#frame = (this.#frame + 1) % frames.length;
    this.#output.write(`\r\u001b[K${frames[this.#frame]} ${cut(this.#text, (this.#output.columns ?? 80) - 3)}`);
  }
}

class Lines implements Progress {
  readonly #output: Output;
  #last = '';

  constructor(output: Output) {
    this.#output = output;
  }

  show(text: string): void {
    if (text === this.#last) return;
    this.#last = text;
    this.#output.write(`${plain(text)}\n`);
  }

  [Symbol.dispose](): void {}
}
