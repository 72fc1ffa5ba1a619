/** A Pebble of a test, as the one process manager of a container: what it runs ends with it. */
export interface PebbleDaemon extends AsyncDisposable {
  readonly socket: string;
  /** For sentences: which one it is. */
  readonly label: string;
  /** The container ends without a word: Pebble, and all that it runs. Files stay. */
  kill(): Promise<void>;
  /** It is there again, without layers and without services. */
  startAgain(): Promise<void>;
}

export interface PebbleOptions {
  /** An empty directory for its socket and its state. */
  readonly directory: string;
  /** What it gives to the programs it runs, beside what they ask for. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How to have one, or why there is none. */
export interface PebbleProvider {
  readonly label: string;
  readonly start: ((options: PebbleOptions) => Promise<PebbleDaemon>) | null;
  readonly reason: string | null;
}
