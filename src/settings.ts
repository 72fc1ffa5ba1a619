import { z } from 'zod';
import type { Application, UnitName } from './actors/model/ids.ts';
import { unitNameOf } from './actors/model/ids.ts';

/** Process settings of a unit: one frozen object, made once. Durations are milliseconds. */
export interface UnitProcessSettings {
  readonly application: Application;
  /** Null: a number is claimed through the backplane. */
  readonly unit: UnitName | null;
  /** Null: this unit runs alone on an embedded backplane in its state directory. */
  readonly backplane: string | null;
  readonly backplanePasswordFile: string | null;
  readonly secretKeyFile: string | null;
  readonly stateDir: string;
  readonly runDir: string;
  readonly instances: number;
  /** Fleet file that an application without an intent begins with; null: none. */
  readonly fleet: string | null;
  readonly listenAddress: string;
  /** Host that clients are told; null: the listen address. */
  readonly advertise: string | null;
  readonly pgbouncer: string;
  /** Paths of what clients are served with; null: without TLS. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly authorities: string } | null;
  /** Null: the API is on its unix socket only. */
  readonly api: ApiSettings | null;
  /** Account to drop to when started as root. */
  readonly user: string;
  readonly leaseTtlMs: number;
  readonly drainDelayMs: number;
  readonly drainDeadlineMs: number;
  readonly departureGraceMs: number;
  readonly leaveOnStop: boolean;
  readonly logLevel: LogLevel;
}
/** The API on TCP. */
export interface ApiSettings {
  readonly host: string;
  readonly port: number;
  /** Null: without TLS, which loopback alone is allowed. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
  /** Null: nobody has a token, and probes alone are answered. */
  readonly tokenFile: string | null;
}
export type LogLevel = (typeof logLevels)[number];
const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

export interface Defaults {
  readonly stateDir: string;
  readonly runDir: string;
  readonly cpus: number;
}

export type Loaded<T> =
  | { readonly kind: 'settings'; readonly settings: T }
  /** One sentence per fault: what, where, why, what to do. */
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

/** Flags of `troupe unit`, as the settings that they are. */
export interface UnitFlags {
  readonly help: boolean;
  readonly flags: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

export const unitFlagsIn = (args: readonly string[]): UnitFlags => {
  const flags = new Map<string, string>();
  const problems: string[] = [];
  const left = [...args];
  for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
    if (arg === '--help' || arg === '-h') return { help: true, flags: {}, problems: [] };
    const [, flag, given] = /^(--[^=]+)(?:=([^]*))?$/.exec(arg) ?? [];
    if (flag === undefined) {
      problems.push(`${JSON.stringify(arg)} is more than it takes: settings are flags, such as --unit pgbouncer/0`);
      continue;
    }
    const name = `TROUPE_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
    const value = given ?? (left[0]?.startsWith('-') === false ? left.shift() : undefined);
    if (flagOf(name) !== flag || !settingNames.has(name))
      problems.push(`there is no flag ${flag}: remove it (troupe unit --help lists them)`);
    else if (value === undefined) problems.push(`${flag} needs a value: write ${flag}=VALUE`);
    else if (flags.has(name)) problems.push(`${flag} is given twice: give it once`);
    else flags.set(name, value);
  }
  return { help: false, flags: Object.fromEntries(flags), problems };
};

/** `TROUPE_LISTEN_ADDRESS` → `--listen-address`. */
export const flagOf = (name: string): string => `--${name.slice('TROUPE_'.length).replaceAll('_', '-').toLowerCase()}`;

/**
 * Settings from `TROUPE_*` and flags (`--listen-address` is TROUPE_LISTEN_ADDRESS; a flag wins). `given` holds the environment's
 * TROUPE_* values under their full names; flags are already parsed into the same names.
 */
export const loadUnitSettings = (
  environment: Readonly<Record<string, string>>,
  flags: Readonly<Record<string, string>>,
  defaults: Defaults,
): Loaded<UnitProcessSettings> => {
  const problems: string[] = [];
  const strangers = Object.keys(environment).filter((name) => !settingNames.has(name) && !elsewhere.has(name));
  problems.push(
    ...strangers.map((name) => `${name} is not a setting: remove it (troupe unit --help lists the settings)`),
  );
  const raw = Object.fromEntries(
    [...settingNames].flatMap((name) => {
      const value = flags[name] ?? (isForCommands(name, environment[name]) ? undefined : environment[name]);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
  const parsed = schemaWith(defaults).safeParse(raw);
  if (!parsed.success) {
    problems.push(
      ...parsed.error.issues.map(({ path, message }) => `${String(path[0])}=${raw[String(path[0])] ?? ''}: ${message}`),
    );
    return { kind: 'invalid', problems };
  }
  const { data } = parsed;
  const application = data.TROUPE_APPLICATION as Application;
  const unit = unitOf(application, data.TROUPE_UNIT, problems);
  if (data.TROUPE_BACKPLANE !== undefined && data.TROUPE_SECRET_KEY_FILE === undefined)
    problems.push(
      'TROUPE_SECRET_KEY_FILE is missing: units that share a backplane need the same key, 32 random bytes as base64 in a file (head -c 32 /dev/urandom | base64)',
    );
  const tls = tlsOf(data, problems);
  const api = apiOf(data, problems);
  if (problems.length > 0) return { kind: 'invalid', problems };
  return {
    kind: 'settings',
    settings: Object.freeze({
      application,
      unit,
      backplane: data.TROUPE_BACKPLANE ?? null,
      backplanePasswordFile: data.TROUPE_BACKPLANE_PASSWORD_FILE ?? null,
      secretKeyFile: data.TROUPE_SECRET_KEY_FILE ?? null,
      stateDir: data.TROUPE_STATE_DIR,
      runDir: data.TROUPE_RUN_DIR,
      instances: data.TROUPE_INSTANCES,
      fleet: data.TROUPE_FLEET ?? null,
      listenAddress: data.TROUPE_LISTEN_ADDRESS,
      advertise: data.TROUPE_ADVERTISE ?? null,
      pgbouncer: data.TROUPE_PGBOUNCER,
      tls,
      api,
      user: data.TROUPE_USER,
      leaseTtlMs: data.TROUPE_LEASE_TTL,
      drainDelayMs: data.TROUPE_DRAIN_DELAY,
      drainDeadlineMs: data.TROUPE_DRAIN_DEADLINE,
      departureGraceMs: data.TROUPE_DEPARTURE_GRACE,
      leaveOnStop: data.TROUPE_LEAVE_ON_STOP,
      logLevel: data.TROUPE_LOG_LEVEL,
    }),
  };
};

const unitOf = (application: Application, given: string | undefined, problems: string[]): UnitName | null => {
  if (given === undefined) return null;
  const [, named, number] = /^([a-z0-9-]+)\/(\d{1,5})$/.exec(given) ?? [];
  if (number === undefined)
    problems.push(`TROUPE_UNIT=${given}: must be ${application}/NUMBER, for instance ${application}/0`);
  else if (named !== application)
    problems.push(`TROUPE_UNIT=${given}: names application "${named}", but TROUPE_APPLICATION is "${application}"`);
  return unitNameOf(application, Number(number));
};

const tlsOf = (
  {
    TROUPE_TLS_CERTIFICATE_FILE: certificate,
    TROUPE_TLS_KEY_FILE: key,
    TROUPE_TLS_CA_FILE: authorities,
  }: z.output<ReturnType<typeof schemaWith>>,
  problems: string[],
): UnitProcessSettings['tls'] => {
  if (certificate !== undefined && key !== undefined && authorities !== undefined)
    return { certificate, key, authorities };
  if (certificate !== undefined || key !== undefined || authorities !== undefined)
    problems.push(
      'TROUPE_TLS_CERTIFICATE_FILE, TROUPE_TLS_KEY_FILE and TROUPE_TLS_CA_FILE belong together: give all three, or none',
    );
  return null;
};

/**
 * TROUPE_API serves both: a unit listens where `host:port` says, the command line asks at a path or a URL. Each leaves the other's
 * form alone, so that they can share an environment.
 */
const isForCommands = (name: string, value: string | undefined): boolean =>
  name === 'TROUPE_API' && value !== undefined && /^(?:\/|\.|[a-z]+:\/\/|unix:)/i.test(value);

const apiOf = (
  {
    TROUPE_API: address,
    TROUPE_API_CERT_FILE: certificate,
    TROUPE_API_KEY_FILE: key,
    TROUPE_API_TOKEN_FILE: tokenFile,
  }: z.output<ReturnType<typeof schemaWith>>,
  problems: string[],
): ApiSettings | null => {
  if ((certificate === undefined) !== (key === undefined))
    problems.push('TROUPE_API_CERT_FILE and TROUPE_API_KEY_FILE belong together: give both, or neither');
  if (address === undefined) {
    if (certificate !== undefined)
      problems.push('TROUPE_API_CERT_FILE is for the API on TCP: say where with TROUPE_API=HOST:PORT, or remove it');
    return null;
  }
  const { host, port } = address;
  const tls = certificate === undefined || key === undefined ? null : { certificate, key };
  if (tls === null && !isLoopback(host))
    problems.push(
      `TROUPE_API=${host}: without TLS the API may listen on loopback only: set TROUPE_API_CERT_FILE and TROUPE_API_KEY_FILE, or use 127.0.0.1`,
    );
  return { host, port, tls, tokenFile: tokenFile ?? null };
};

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const duration = (leastMs: number, mostMs: number) =>
  z
    .string()
    .regex(/^\d{1,9}(ms|s|m|h)?$/, 'must be a duration such as 500ms, 5s or 10m (a bare number means seconds)')
    .transform((text) => {
      const [, number, unit] = /^(\d+)(ms|s|m|h)?$/.exec(text) ?? [];
      return Number(number) * units[(unit as keyof typeof units | undefined) ?? 's'];
    })
    .refine((ms) => ms >= leastMs && ms <= mostMs, `must be from ${durationText(leastMs)} to ${durationText(mostMs)}`);
const durationText = (ms: number): string => {
  const [unit, size] = Object.entries(units).findLast(([, ofUnit]) => ms % ofUnit === 0 && ms >= ofUnit) ?? [
    's',
    1_000,
  ];
  return `${ms / size}${unit}`;
};
const path = z.string().regex(/^\/[^\0\n]*$/, 'must be an absolute path, such as /var/lib/troupe');
const host = z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, 'must be an IP address or a host name');
const hostPort = z
  .string()
  .regex(
    /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})):[1-9]\d{0,4}$/,
    'must be HOST:PORT, with brackets around an IPv6 address',
  )
  .transform((text) => {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) };
  })
  .refine(({ port }) => port <= 65_535, 'must have a port up to 65535');
const flag = z
  .enum(['true', 'false', '1', '0'], 'must be true or false')
  .transform((text) => text === 'true' || text === '1');

const schemaWith = ({ stateDir, runDir, cpus }: Defaults) =>
  z.strictObject({
    TROUPE_APPLICATION: z
      .string()
      .regex(
        /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
        'must be 1 to 40 lower-case letters, digits and hyphens, starting with a letter',
      )
      .regex(/^(?!pg-|pg$)/, 'must not begin with "pg-": logins are named after it, and PostgreSQL reserves pg_')
      .default('pgbouncer'),
    TROUPE_UNIT: z.string().optional(),
    TROUPE_BACKPLANE: z
      .string()
      .regex(
        /^rediss?:\/\/[^\s@]+$/,
        'must be a URL such as redis://host:6379 or rediss://host:6380, without a password (TROUPE_BACKPLANE_PASSWORD_FILE)',
      )
      .optional(),
    TROUPE_BACKPLANE_PASSWORD_FILE: path.optional(),
    TROUPE_SECRET_KEY_FILE: path.optional(),
    TROUPE_STATE_DIR: path.default(stateDir),
    TROUPE_RUN_DIR: path.default(runDir),
    TROUPE_INSTANCES: z
      .string()
      .regex(/^[1-9]\d?$/, 'must be a number of instances from 1 to 64')
      .transform(Number)
      .refine((count) => count <= 64, 'must be a number of instances from 1 to 64')
      .default(Math.max(Math.min(cpus, 4), 2)),
    TROUPE_FLEET: z
      .string()
      .regex(/^[^\0\n]+$/, 'must be the path of a file')
      .optional(),
    TROUPE_LISTEN_ADDRESS: host.default('127.0.0.1'),
    TROUPE_ADVERTISE: host.optional(),
    TROUPE_PGBOUNCER: z.string().min(1, 'must name a program').default('pgbouncer'),
    TROUPE_TLS_CERTIFICATE_FILE: path.optional(),
    TROUPE_TLS_KEY_FILE: path.optional(),
    TROUPE_TLS_CA_FILE: path.optional(),
    TROUPE_API: hostPort.optional(),
    TROUPE_API_CERT_FILE: path.optional(),
    TROUPE_API_KEY_FILE: path.optional(),
    TROUPE_API_TOKEN_FILE: path.optional(),
    TROUPE_USER: z
      .string()
      .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'must be the name of an account of this machine, such as postgres')
      .default('postgres'),
    TROUPE_LEASE_TTL: duration(2_000, 300_000).default(5_000),
    TROUPE_DRAIN_DELAY: duration(0, 3_600_000).default(2_000),
    TROUPE_DRAIN_DEADLINE: duration(0, 86_400_000).default(30_000),
    TROUPE_DEPARTURE_GRACE: duration(10_000, 30 * 86_400_000).default(600_000),
    TROUPE_LEAVE_ON_STOP: flag.default(false),
    TROUPE_LOG_LEVEL: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'),
  });

/** Every setting of a unit, with the sentence that `troupe unit --help` prints. */
export const unitSettingHelp = {
  TROUPE_APPLICATION: 'name of the application (pgbouncer)',
  TROUPE_UNIT: 'this unit, APPLICATION/NUMBER; without it the lowest free number is claimed',
  TROUPE_BACKPLANE:
    'URL of the store that units share: redis://host:port or rediss://…; without it this unit runs alone',
  TROUPE_BACKPLANE_PASSWORD_FILE: "file with the store's password",
  TROUPE_SECRET_KEY_FILE:
    'file with the key that seals secrets in the store: 32 bytes as base64, the same on all units',
  TROUPE_STATE_DIR: 'where this unit keeps what must survive a restart',
  TROUPE_RUN_DIR: 'where sockets are: the API and the PgBouncers',
  TROUPE_INSTANCES: 'PgBouncer processes of this unit (number of processors, from 2 to 4)',
  TROUPE_FLEET: 'fleet file that an application begins with when nobody has asked it for anything yet',
  TROUPE_LISTEN_ADDRESS: 'address that the instances share (127.0.0.1); the port is the option listen_port',
  TROUPE_ADVERTISE: 'host that clients are told (the listen address)',
  TROUPE_PGBOUNCER: 'the PgBouncer program (pgbouncer on the PATH)',
  TROUPE_TLS_CERTIFICATE_FILE:
    'certificate chain in PEM for clients that ask for TLS (none: they are served without); read again when it changes',
  TROUPE_TLS_KEY_FILE: 'the key of that certificate',
  TROUPE_TLS_CA_FILE: 'the authority that vouches for it, which clients are told',
  TROUPE_API:
    'HOST:PORT to serve the API at, beside its socket (in the environment a path or URL is left to the other verbs)',
  TROUPE_API_CERT_FILE: 'its certificate chain in PEM; without one HOST must be loopback',
  TROUPE_API_KEY_FILE: 'the key of that certificate',
  TROUPE_API_TOKEN_FILE:
    'tokens, "SCOPE TOKEN" a line: read, operate (changes), secrets (passwords), or several with commas; without it TCP answers probes only',
  TROUPE_USER: 'account to drop to when started as root (postgres)',
  TROUPE_LEASE_TTL: 'how long leadership lasts without renewal (5s)',
  TROUPE_DRAIN_DELAY: 'between turning readiness off and draining (2s)',
  TROUPE_DRAIN_DEADLINE: 'how long clients may take to leave before they are cut (30s)',
  TROUPE_DEPARTURE_GRACE: 'how long a stopped or silent unit keeps its number and share (10m)',
  TROUPE_LEAVE_ON_STOP: 'give number and share up when stopped (false)',
  TROUPE_LOG_LEVEL: `${logLevels.join(', ')} (info)`,
} as const satisfies Readonly<Record<string, string>>;

const settingNames: ReadonlySet<string> = new Set(Object.keys(unitSettingHelp));
/** What the command line alone reads, which may share an environment with a unit. */
const elsewhere: ReadonlySet<string> = new Set(['TROUPE_API_CA_FILE']);
