import type { Secret } from '../../src/actors/model/secret.ts';

/** A real server for tests, wherever it runs. Runs in the process that owns it; tests see it through `servers.ts`. */
export interface TestServer {
  /** What it is and where, for instance `PostgreSQL 15.18 (local)`. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  /** Of its superuser; Redis has none. */
  readonly username: string;
  readonly password: Secret;
  /** Stops answering, keeps its connections. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** As kill -9 does; resolves when it is gone. */
  kill(): Promise<void>;
  /** Same port, same data; resolves when it answers. */
  startAgain(): Promise<void>;
  /** For good, frozen or killed or not. */
  stop(): Promise<void>;
  /** Everything it has said. */
  log(): Promise<string>;
  /** Of PostgreSQL: one that streams from this one, with a directory of its own. */
  readonly startStandby?: (directory: string) => Promise<TestServer>;
}

/** One way to have a server. */
export interface Provider {
  readonly name: string;
  readonly kind: 'redis' | 'postgres';
  /** The directory is this server's own, and there. */
  readonly start: (directory: string) => Promise<TestServer>;
}

/** What a machine offers, and a sentence for each thing it lacks. */
export interface Offer {
  readonly providers: readonly Provider[];
  readonly lacks: readonly string[];
}
