/** What must be kept secret, in whatever way it is written, and what everybody on a machine can see of its processes. */
import { readdirSync, readFileSync } from 'node:fs';

/** A name for people, and what nobody may see. */
export type Markers = Readonly<Record<string, string | Buffer>>;

/** Which markers are in a text, in whatever way they are written there. */
export const markersIn = (text: string | Buffer, markers: Markers): readonly string[] =>
  Object.entries(markers).flatMap(([name, marker]) =>
    writingsOf(marker).some((one) => text.includes(one)) ? [name] : [],
  );

export const writingsOf = (marker: string | Buffer): readonly string[] => {
  const bytes = Buffer.from(marker);
  const text = typeof marker === 'string' ? marker : null;
  const base64 = [0, 1, 2].map((before) => {
    // The same bytes look different by where in a longer text they stand; the ends belong to their neighbours.
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    return encoded.slice(before === 0 ? 0 : 4, -4);
  });
  const base64url = base64.map((encoded) => encoded.replaceAll('+', '-').replaceAll('/', '_'));
  // A stretch without anything to escape survives every way of quoting, and quoting twice.
  const plain = text?.match(/[A-Za-z0-9]{20,}/g) ?? [];
  const written = text === null ? [] : [text, encodeURIComponent(text), ...plain];
  return [...written, bytes.toString('hex'), ...base64, ...base64url];
};

/** Arguments and environments of processes, again and again: some live for milliseconds only. */
export class ProcessSightings implements Disposable {
  readonly #seen = new Map<string, string>();
  /** How often a process was looked at. */
  readonly #known = new Map<string, number>();
  readonly #whose: (pid: string) => string | null;
  readonly #timer: NodeJS.Timeout;

  /** `whose`: of a process, by its id, for sentences; null: it is none of those to be looked at. All of this machine are without it. */
  constructor(whose: (pid: string) => string | null = () => 'this machine') {
    this.#whose = whose;
    this.#look();
    this.#timer = setInterval(() => this.#look(), 30);
  }

  /** What was seen, each text once; and where it was seen first. */
  get all(): ReadonlyMap<string, string> {
    return this.#seen;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const pids = new Set(readdirSync('/proc').filter((name) => /^\d+$/.test(name)));
    for (const pid of this.#known.keys()) if (!pids.has(pid)) this.#known.delete(pid);
    for (const pid of pids) {
      const looks = this.#known.get(pid) ?? 0;
      if (looks === enough) continue;
      this.#known.set(pid, looks + 1);
      const owner = this.#whose(pid);
      if (owner === null) continue;
      const command = textOf(`/proc/${pid}/cmdline`);
      const of = `of process ${pid} of ${owner}: ${command.replaceAll('\0', ' ').slice(0, 80)}`;
      this.#see(command, `arguments ${of}`);
      this.#see(textOf(`/proc/${pid}/environ`), `the environment ${of}`);
    }
  }

  #see(text: string, where: string): void {
    if (text !== '' && !this.#seen.has(text)) this.#seen.set(text, where);
  }
}

/** It becomes what it is to be when it is young. */
const enough = 100;

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // It has ended meanwhile.
  }
};
