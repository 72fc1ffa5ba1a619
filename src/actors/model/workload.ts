import type { BudgetKey } from './ids.ts';
import type { Secret } from './secret.ts';

/** `major.minor.patch` of a PgBouncer. */
export interface PgBouncerVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Where one instance lives on this unit: facts of the workload adapter that the renderer writes into the ini. */
export interface InstanceLayout {
  /** 1, 2, …; also its peer id within the unit. */
  readonly id: number;
  /** Absolute path of its ini file and of its own socket directory. */
  readonly ini: string;
  readonly socketDir: string;
  /** An address of its own beside the shared one, where its console is reached when the layout has a login for that. */
  readonly consoleAddress?: string;
}

/** With what a unit serves clients that ask for TLS, in PEM. */
export interface TlsMaterial {
  readonly key: Secret;
  /** The certificate and those between it and the authorities. */
  readonly certificate: string;
  /** Whom clients are to trust. */
  readonly authorities: string;
}

/** The same in files. Their directory is named after what they hold, so that what a process has read never changes. */
export interface TlsFiles extends TlsMaterial {
  readonly directory: string;
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly authoritiesFile: string;
}

/** What rendering needs to know of this unit. `probe` is the unit's own login, in `stats_users`, for proving that TCP logins work. */
export interface Layout {
  readonly listenAddress: string;
  readonly authFile: string;
  readonly probe: { readonly username: string; readonly verifier: Secret };
  readonly instances: readonly InstanceLayout[];
  /** Absent or null: clients are served without TLS. What it names has been tried out. */
  readonly tls?: TlsFiles | null;
  /** Who may use the consoles over TCP, and the file of the rules that keep others from it. Absent: nobody may. */
  readonly console?: { readonly username: string; readonly verifier: Secret; readonly rulesFile: string };
  /** Held by instances of an earlier life that had more of them, and that have not ended yet: not there to be divided. */
  readonly retiring: readonly (BudgetKey & { readonly connections: number })[];
}

/** All files of a unit for one generation: the same inputs give the same bytes. */
export interface Rendered {
  /** In the last line of each ini; a running instance that shows it has loaded all of its file. */
  readonly canary: string;
  readonly listenPort: number;
  readonly authFile: Secret;
  readonly tls?: TlsFiles | null;
  /** Text of each ini, by instance id in order. Holds no secret. */
  readonly instances: readonly { readonly id: number; readonly ini: string }[];
}

/**
 * What stands in the way of this unit's instances, by the id of the wait: each has a way out of its own. `address`: somebody else
 * is there; `listen-address`: this machine does not have it; `disk`: no space; `files`: no right, or something lies in the way;
 * `descriptors`: none left; `tls`: the certificate for clients, or what belongs to it, is of no use, and the one before serves on.
 */
export type Obstacle = 'address' | 'listen-address' | 'disk' | 'files' | 'descriptors' | 'tls';

export interface InstanceFact {
  readonly id: number;
  /** `running`: ours by pid, start time and console. `hung`: ours, but it does not answer in time, or no longer listens. */
  readonly state: 'running' | 'hung' | 'absent';
  readonly pid: number | null;
  readonly version: PgBouncerVersion | null;
  /** What the process shows as its canary; null when it shows none or does not answer. */
  readonly canary: string | null;
  /** Globally paused, as far as this version can tell. */
  readonly paused: boolean;
  /** Databases that take no queries or no logins, because somebody paused, disabled or killed them on its console. */
  readonly halted?: readonly string[];
  /** The path of its console's socket is gone: it serves, but nobody new can reach its console, nor hand it a cancel request. */
  readonly unlinked?: boolean;
  /** How many files and connections the system lets it have open; null when it is unknown. */
  readonly descriptors?: number | null;
  /** What SHOW CONFIG says, so that a plan sees what a process has in force; absent or null when it was not asked or is silent. */
  readonly settings?: Readonly<Record<string, string>> | null;
  /** As its console counts them; absent or null when it was not asked or is silent. */
  readonly pools?: readonly PoolFact[] | null;
}

/** Pooled connections of one instance, to one database or of one login. */
export interface PoolFact extends BudgetKey {
  /** In force; 0: none. Null where the console does not tell: of a login. */
  readonly limit: number | null;
  readonly open: number;
  /** The databases that they go to. */
  readonly databases: readonly string[];
}

/** The unit's workload as found: what is on disk and what runs. */
export interface Inspection {
  readonly binary:
    | { readonly kind: 'found'; readonly version: PgBouncerVersion }
    /** None there, or none that can be run. */
    | { readonly kind: 'missing'; readonly reason: string }
    | { readonly kind: 'tooOld'; readonly reason: string };
  readonly layout: Layout;
  /** Files as they are on disk, or null for one that is missing or unreadable. */
  readonly disk: {
    readonly authFile: Secret | null;
    /** The files that the layout names for TLS are there with what they are to hold. */
    readonly tls?: boolean;
    readonly instances: readonly { readonly id: number; readonly ini: string | null }[];
  };
  readonly instances: readonly InstanceFact[];
  /**
   * These very processes were verified with these very files, and clients reach each of them: a `verify` would find what it found.
   * Left out where nobody can tell.
   */
  readonly attested?: boolean;
  /** Found by looking, before a step stumbles over it. Each is a sentence. */
  readonly obstacles: readonly { readonly id: Obstacle; readonly message: string }[];
}

/** Somebody who is connected to an instance. `user` and `database` are empty where only the system can tell of the connection. */
export interface ConnectedClient {
  readonly instance: number;
  readonly user: string;
  readonly database: string;
  readonly address: string;
  readonly port: number;
}

/** One bounded, repeatable step. Steps that name instances act on all of them side by side. */
export type Step =
  /** Dry-run every file with the real binary; nothing is touched. */
  | { readonly type: 'prove'; readonly rendered: Rendered }
  /** Write-new, fsync, rename; only files that differ. */
  | { readonly type: 'write'; readonly rendered: Rendered }
  | { readonly type: 'start'; readonly instances: readonly number[] }
  | { readonly type: 'reload'; readonly instances: readonly number[] }
  | { readonly type: 'pause'; readonly instances: readonly number[] }
  | { readonly type: 'resume'; readonly instances: readonly number[] }
  /** Has the connections to these databases replaced as they become free: how a pool above its limit gets back to it. */
  | { readonly type: 'reconnect'; readonly instances: readonly number[]; readonly databases: readonly string[] }
  /** Lets clients finish (where this version can), no new ones; returns when the drain has begun. */
  | { readonly type: 'drain'; readonly instances: readonly number[] }
  /** Ends the processes, cutting who is still there; escalates to SIGKILL. */
  | { readonly type: 'stop'; readonly instances: readonly number[] }
  /** Every key and database through each console, its pid owns the listener, a TCP login works. */
  | { readonly type: 'verify'; readonly rendered: Rendered };

export type StepOutcome =
  | { readonly kind: 'done' }
  /** PgBouncer (or the check of what it loaded) says no: its own words, one sentence. Repeating will not help. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It did not work this time; the way out may come by itself (address taken, no answer). */
  | { readonly kind: 'failed'; readonly reason: string; readonly obstacle?: Obstacle };
