import { z } from 'zod';
import { Secret } from '../../actors/model/secret.ts';
import type { RelationRef } from './environment.ts';
import { type SecretContent, withSecretFiles } from './secret-files.ts';
import { secretUri } from './secret-id.ts';
import type { RunTool } from './tool-process.ts';
import { type RefusalKind, ToolRefusal } from './tool-refusal.ts';
import { yamlInput } from './yaml-input.ts';

/** One side's texts in a relation, or the state of a unit. */
export type Bag = Readonly<Record<string, string>>;
export type Scope = 'unit' | 'application';
export type StatusWord = 'active' | 'waiting' | 'blocked' | 'maintenance';
export type LogLevel = 'TRACE' | 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

export type SecretBy =
  | { readonly id: string; readonly label?: never }
  | { readonly label: string; readonly id?: never }
  /** Gives the secret this label for whoever reads it here. */
  | { readonly id: string; readonly label: string };

export interface NewSecret {
  readonly owner: Scope;
  /** Unique for its owner. */
  readonly label: string;
  readonly content: SecretContent;
}

/** Told to the owner alone. */
export interface SecretInfo {
  /** Bare, without `secret:`. */
  readonly id: string;
  readonly revision: number;
  readonly label: string | null;
  readonly owner: Scope;
}

export interface Network {
  readonly bindAddresses: readonly string[];
  readonly ingressAddresses: readonly string[];
  readonly egressSubnets: readonly string[];
}

export interface GoalState {
  /** Units of this application and what each is doing; one that leaves says `dying`. */
  readonly units: Readonly<Record<string, { readonly status: string }>>;
  readonly relations: Readonly<Record<string, Readonly<Record<string, { readonly status: string }>>>>;
}

/**
 * The hook tools of one dispatch, a function for each. Nothing is remembered between calls. Everything rejects with ToolRefusal
 * where Juju refuses and the answer has no word for it.
 *
 * Written at once, whatever comes of the hook: statuses, the version, logs. The rest (bags, state, secrets, ports) is kept by the
 * agent and stored together after exit 0, or dropped.
 */
export interface JujuTools {
  /** True guarantees leadership for 30 s from the call. An agent that does not know says false: nothing is written then. */
  isLeader(): Promise<boolean>;
  /** Options that are set or have a default. */
  config(): Promise<Readonly<Record<string, string | number | boolean>>>;

  /** Of the living relations of an endpoint, in ascending order. */
  relationIds(endpoint: string): Promise<readonly number[]>;
  /** Remote units, ours not among them; none when the relation is gone. */
  relationUnits(of: RelationRef): Promise<readonly string[]>;
  /** Null when the relation is gone. */
  remoteApplication(of: RelationRef): Promise<string | null>;
  /** UUID of the model of the other side; null when the relation is gone or this Juju does not tell. */
  relationModel(of: RelationRef): Promise<string | null>;
  /** `member` is a unit, or an application with the scope `application`. Null when the relation is gone. */
  readBag(of: RelationRef, member: string, scope: Scope): Promise<Bag | null>;
  /** Merges into our own bag; an empty text removes its key. */
  writeBag(of: RelationRef, scope: Scope, changes: Bag): Promise<void>;

  /**
   * Null when there is none. `tracked`: the revision that this consumer took last; `refresh`: the newest, and takes it; `peek`: the
   * newest. What one owns is read with `refresh`. A grant may come later than the id: then `forbidden`, and the next hook tries again.
   */
  secretGet(by: SecretBy, how?: 'tracked' | 'refresh' | 'peek'): Promise<SecretContent | null>;
  /** Its id as it goes into bags. Refused with `labelTaken` when there is one with that label. */
  secretAdd(secret: NewSecret): Promise<string>;
  /** Replaces all of its content. Equal content makes a new revision before Juju 3.6: compare first. */
  secretSet(id: string, owner: Scope, content: SecretContent): Promise<void>;
  /** To the remote application, for as long as the relation lives. */
  secretGrant(id: string, to: RelationRef): Promise<void>;
  /** Does nothing when there is no such secret or relation any more. */
  secretRevoke(id: string, from: RelationRef): Promise<void>;
  /** The whole secret, or one revision (only where `revisionRemoval` says so, and never without a label). Nothing when it is gone. */
  secretRemove(id: string, revision?: number): Promise<void>;
  /** Null when there is none, or it is not ours. */
  secretInfo(by: { readonly id: string } | { readonly label: string }): Promise<SecretInfo | null>;
  /** Bare ids of what this unit owns, and the application when this unit leads. */
  secretIds(): Promise<readonly string[]>;

  /** What Juju keeps for this unit across pods. */
  stateGet(): Promise<Bag>;
  /** Merges. Refused with `tooLarge` before Juju would refuse the whole hook. */
  stateSet(changes: Bag): Promise<void>;
  stateDelete(key: string): Promise<void>;

  setStatus(scope: Scope, word: StatusWord, message: string): Promise<void>;
  setVersion(version: string): Promise<void>;
  /** Never rejects: a log that cannot be written goes to stderr. */
  log(level: LogLevel, message: string): Promise<void>;

  /** With the defaults of the charm's schema. */
  actionParameters(): Promise<Readonly<Record<string, unknown>>>;
  /** Keys are lower-case words joined by dashes; dots nest. */
  actionSet(results: Bag): Promise<void>;
  actionFail(message: string): Promise<void>;
  actionLog(message: string): Promise<void>;

  /** TCP. */
  openPort(port: number): Promise<void>;
  closePort(port: number): Promise<void>;
  openedPorts(): Promise<readonly number[]>;
  /** Null when the endpoint has no network. */
  network(endpoint: string): Promise<Network | null>;
  goalState(): Promise<GoalState>;
}

export const createJujuTools = (run: RunTool): JujuTools => {
  const ask = async <T>(schema: z.ZodType<T>, tool: string, ...args: readonly string[]): Promise<T> =>
    answerOf(tool, schema, await run({ tool, args: ['--format=json', ...args] }));
  const tell = async (tool: string, ...args: readonly string[]): Promise<void> => {
    await run({ tool, args });
  };
  const feed = async (tool: string, args: readonly string[], map: Bag): Promise<void> => {
    if (Object.keys(map).length > 0) await run({ tool, args: [...args, '--file', '-'], input: yamlInput(map) });
  };

  const readSecret = async (by: SecretBy, flags: readonly string[]): Promise<SecretContent | null> => {
    const args = [
      ...(by.id === undefined ? [] : [by.id]),
      ...(by.label === undefined ? [] : ['--label', by.label]),
      ...flags,
    ];
    const content = await orWhen(ask(orEmpty(texts), 'secret-get', ...args), null, 'secretMissing');
    return content && Object.fromEntries(Object.entries(content).map(([key, value]) => [key, new Secret(value)]));
  };

  return {
    isLeader: () => orWhen(ask(z.boolean(), 'is-leader'), false, 'leadershipUnknown'),
    config: async () => definedOf(await ask(orEmpty(options), 'config-get')),

    relationIds: async (endpoint) =>
      (await ask(orNone(z.string()), 'relation-ids', endpoint)).map(numberOf).toSorted((a, b) => a - b),
    relationUnits: (of) => orWhen(ask(orNone(z.string()), 'relation-list', '-r', refOf(of)), [], 'relationGone'),
    remoteApplication: async (of) =>
      (await orWhen(ask(z.string().nullable(), 'relation-list', '-r', refOf(of), '--app'), null, 'relationGone')) ||
      null,
    relationModel: async (of) => {
      const asked = ask(z.looseObject({ uuid: z.string() }).nullable(), 'relation-model-get', '-r', refOf(of));
      return (await orWhen(asked, null, 'relationGone', 'missingTool'))?.uuid ?? null;
    },
    readBag: (of, member, scope) =>
      orWhen(
        ask(
          orEmpty(texts),
          'relation-get',
          '-r',
          refOf(of),
          ...(scope === 'application' ? ['--app'] : []),
          '-',
          member,
        ),
        null,
        'relationGone',
      ),
    writeBag: (of, scope, changes) =>
      feed('relation-set', ['-r', refOf(of), ...(scope === 'application' ? ['--app'] : [])], changes),

    secretGet: async (by, how = 'tracked') => {
      const flags = how === 'tracked' ? [] : [`--${how}`];
      try {
        return await readSecret(by, flags);
      } catch (cause) {
        // Older agents let an owner read by one of both and without flags; a follower may not give its application's secret a label.
        const isOwners = isRefusal(cause, 'ownerRead') || (isRefusal(cause, 'notLeader') && by.label !== undefined);
        if (!isOwners) throw cause;
        return await readSecret(by.id === undefined ? by : { id: by.id }, isRefusal(cause, 'ownerRead') ? [] : flags);
      }
    },
    secretAdd: ({ owner, label, content }) =>
      withSecretFiles(content, async (files) => {
        const said = await run({ tool: 'secret-add', args: ['--label', label, '--owner', owner, ...files] });
        return secretUri(said.trim());
      }),
    secretSet: (id, owner, content) =>
      withSecretFiles(content, (files) => tell('secret-set', '--owner', owner, id, ...files)),
    secretGrant: (id, to) => tell('secret-grant', '--relation', refOf(to), id),
    secretRevoke: (id, from) =>
      orWhen(tell('secret-revoke', '--relation', refOf(from), id), undefined, 'secretMissing', 'relationGone'),
    secretRemove: (id, revision) =>
      orWhen(
        tell('secret-remove', id, ...(revision === undefined ? [] : ['--revision', String(revision)])),
        undefined,
        'secretMissing',
      ),
    secretInfo: async (by) => {
      const args = 'id' in by ? [by.id] : ['--label', by.label];
      const asked = ask(z.record(z.string(), secretInfo).nullable(), 'secret-info-get', ...args);
      const [entry] = Object.entries((await orWhen(asked, null, 'secretMissing', 'forbidden')) ?? {});
      if (entry === undefined) return null;
      const [id, { revision, label, owner }] = entry;
      return { id, revision, label: label || null, owner: owner === 'unit' ? 'unit' : 'application' };
    },
    secretIds: () => ask(orNone(z.string()), 'secret-ids'),

    stateGet: () => ask(orEmpty(texts), 'state-get'),
    stateSet: async (changes) => {
      refuseLargeState(changes);
      await feed('state-set', [], changes);
    },
    stateDelete: (key) => tell('state-delete', key),

    setStatus: (scope, word, message) =>
      tell('status-set', ...(scope === 'application' ? ['--application'] : []), word, '--', message),
    setVersion: (version) => tell('application-version-set', '--', version),
    log: async (level, message) => {
      try {
        await tell('juju-log', '-l', level, '--', shortened(message));
      } catch (cause) {
        if (!(cause instanceof ToolRefusal)) throw cause;
        process.stderr.write(`${level} ${message}\n`);
      }
    },

    actionParameters: () => ask(orEmpty(z.record(z.string(), z.unknown())), 'action-get'),
    actionSet: (results) => tell('action-set', ...Object.entries(results).map(([key, value]) => `${key}=${value}`)),
    actionFail: (message) => tell('action-fail', '--', message),
    actionLog: (message) => tell('action-log', '--', shortened(message)),

    openPort: (port) => tell('open-port', `${port}/tcp`),
    closePort: (port) => tell('close-port', `${port}/tcp`),
    openedPorts: async () =>
      (await ask(orNone(z.string()), 'opened-ports'))
        .filter((port) => port.endsWith('/tcp'))
        .map((port) => Number.parseInt(port, 10)),
    network: async (endpoint) => {
      const found = await orWhen(ask(network, 'network-get', endpoint), null, 'noBinding', 'relationGone');
      if (found === null) return null;
      const bindings = found['bind-addresses'] ?? [];
      return {
        bindAddresses: bindings.flatMap(({ addresses }) => (addresses ?? []).map(({ value }) => value)),
        ingressAddresses: found['ingress-addresses'] ?? [],
        egressSubnets: found['egress-subnets'] ?? [],
      };
    },
    goalState: async () => {
      const { units, relations } = await ask(goalState, 'goal-state');
      return { units: units ?? {}, relations: relations ?? {} };
    },
  };
};

/** Both sides of the name, as newer agents want it when the id is not alone. */
const refOf = ({ endpoint, id }: RelationRef): string => `${endpoint}:${id}`;
const numberOf = (ref: string): number => Number(ref.slice(ref.lastIndexOf(':') + 1));

const texts = z.record(z.string(), z.string());
const options = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).nullable());
const secretInfo = z.looseObject({ revision: z.int(), label: z.string().nullish(), owner: z.string().nullish() });
const network = z
  .looseObject({
    'bind-addresses': z
      .array(z.looseObject({ addresses: z.array(z.looseObject({ value: z.string() })).nullish() }))
      .nullish(),
    'ingress-addresses': z.array(z.string()).nullish(),
    'egress-subnets': z.array(z.string()).nullish(),
  })
  .nullable();
const statuses = z.record(z.string(), z.looseObject({ status: z.string() }));
const goalState = z.looseObject({ units: statuses.nullish(), relations: z.record(z.string(), statuses).nullish() });

/** Several tools print `null` for an empty map or list. */
const orEmpty = <V>(map: z.ZodType<Record<string, V>>): z.ZodType<Record<string, V>> =>
  map.nullable().transform((found) => found ?? {});
const orNone = <V>(item: z.ZodType<V>): z.ZodType<V[]> =>
  z
    .array(item)
    .nullable()
    .transform((found) => found ?? []);

const answerOf = <T>(tool: string, schema: z.ZodType<T>, stdout: string): T => {
  const parsed = schema.safeParse(jsonOf(stdout));
  if (parsed.success) return parsed.data;
  throw new ToolRefusal(tool, 'failed', 'it answers something that is not understood', { cause: parsed.error });
};

const jsonOf = (stdout: string): unknown => {
  if (stdout.trim() === '') return null;
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
};

const isRefusal = (cause: unknown, ...kinds: readonly RefusalKind[]): boolean =>
  cause instanceof ToolRefusal && kinds.includes(cause.kind);

/** `instead` where Juju refuses for one of these reasons. */
const orWhen = <T, U>(asked: Promise<T>, instead: U, ...kinds: readonly RefusalKind[]): Promise<T | U> =>
  asked.catch((cause: unknown) => {
    if (isRefusal(cause, ...kinds)) return instead;
    throw cause;
  });

const definedOf = <V>(map: Readonly<Record<string, V | null>>): Readonly<Record<string, V>> =>
  Object.fromEntries(Object.entries(map).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])));

const largestStateKey = 256;
const largestStateValue = 64 * 1_024;
const refuseLargeState = (changes: Bag): void => {
  for (const [key, value] of Object.entries(changes)) {
    const [of, size, largest] =
      Buffer.byteLength(key) > largestStateKey
        ? ['a key', Buffer.byteLength(key), largestStateKey]
        : [`"${key}"`, Buffer.byteLength(value), largestStateValue];
    if (size > largest)
      throw new ToolRefusal('state-set', 'tooLarge', `${of} has ${size} bytes, and Juju keeps at most ${largest}`);
  }
};

/** One argument of a process holds 128 KiB. */
const longestText = 100_000;
const shortened = (text: string): string =>
  Buffer.byteLength(text) <= longestText
    ? text
    : `${Buffer.from(text)
        .subarray(0, longestText)
        .toString()
        .replace(/\uFFFD$/, '')} (shortened)`;
