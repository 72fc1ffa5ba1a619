/**
 * Pebble, the service manager of a sidecar container, as a client: HTTP over its unix socket. Every method rejects with PebbleError
 * and nothing else, and none is tried a second time: what a question that was cut off did is unknown.
 */
import { z } from 'zod';
import {
  type Change,
  change,
  type CheckInfo,
  checks,
  execution,
  type FileInfo,
  fileInfos,
  type FileResult,
  fileResults,
  type LogEntry,
  logEntry,
  type Notice,
  noticed,
  notices,
  type ServiceInfo,
  services,
  type SystemInfo,
  systemInfo,
} from './answers.ts';
import { type Command, converse, type Output, requestOf } from './exec.ts';
import { decodeMultipart, encodeMultipart } from './multipart.ts';
import { type Ask, envelopeIn, jsonIn, transportTo } from './transport.ts';
import { isRefused, noProtocol, PebbleError } from './trouble.ts';

/** Who owns what is written, and who may use it: three octal digits. `user` needs a Pebble that runs as root. */
export interface Ownership {
  readonly permissions?: string;
  readonly user?: string;
}
export interface FileToWrite extends Ownership {
  readonly path: string;
  readonly content: string;
}
export interface DirectoryToMake extends Ownership {
  readonly path: string;
  /** Makes those above it too, and does not mind when it is there; its owner and mode stay as they are then. */
  readonly withParents?: boolean;
}
export interface PathToRemove {
  readonly path: string;
  /** With all that is in it; does not mind when it is not there. */
  readonly recursive?: boolean;
}
export type FileRead =
  | { readonly kind: 'read'; readonly content: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export type ServiceAction = 'start' | 'stop' | 'restart';

export interface Pebble {
  systemInfo(signal: AbortSignal): Promise<SystemInfo>;

  /** In the order of the paths. */
  readFiles(paths: readonly string[], signal: AbortSignal): Promise<readonly FileRead[]>;
  /** What is in a directory, by name matching `pattern`, or one file. Null when there is none. Links are not followed. */
  listFiles(path: string, signal: AbortSignal, pattern?: string): Promise<readonly FileInfo[] | null>;
  /** Each file is replaced whole, or not at all. The results tell of each. */
  writeFiles(files: readonly FileToWrite[], signal: AbortSignal): Promise<readonly FileResult[]>;
  makeDirectories(directories: readonly DirectoryToMake[], signal: AbortSignal): Promise<readonly FileResult[]>;
  removePaths(paths: readonly PathToRemove[], signal: AbortSignal): Promise<readonly FileResult[]>;

  /** Adds a layer, or merges it into the one of that label. Nothing is started or stopped by it, and nothing can be taken away again. */
  addLayer(label: string, layer: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void>;
  /** YAML of all layers merged, laid out as Pebble likes it. */
  plan(signal: AbortSignal): Promise<string>;
  /** All of the plan when no names are given. */
  services(names: readonly string[], signal: AbortSignal): Promise<readonly ServiceInfo[]>;
  /** Begins it and returns the id of the change. A start is done when the service ran for a second. */
  act(action: ServiceAction, names: readonly string[], signal: AbortSignal): Promise<string>;
  /** The same: stops what the plan changed under it, starts that and whatever is enabled. */
  replan(signal: AbortSignal): Promise<string>;
  /** To the main process of each. `SIGHUP`, … */
  signal(name: string, services: readonly string[], signal: AbortSignal): Promise<void>;

  change(id: string, signal: AbortSignal): Promise<Change>;
  /** Waits for its end. Rejects when it failed (`change`), or did not end in time (`away`). */
  ended(id: string, withinMs: number, signal: AbortSignal): Promise<Change>;

  /** The last `count` lines that services wrote, oldest first, as far as Pebble keeps them. */
  logs(services: readonly string[], count: number, signal: AbortSignal): Promise<readonly LogEntry[]>;
  /** Rejects when it could not be run or took too long (`change`); a program that fails has an exit code. */
  exec(command: Command, signal: AbortSignal): Promise<Output & { readonly exitCode: number }>;
  notices(filter: NoticeFilter, signal: AbortSignal): Promise<readonly Notice[]>;
  /** Adds a custom notice, which Juju tells the charm of. `key` is `domain.tld/path`. Returns its id. */
  notify(key: string, data: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string>;
  checks(signal: AbortSignal): Promise<readonly CheckInfo[]>;
}

export interface NoticeFilter {
  readonly types?: readonly string[];
  readonly keys?: readonly string[];
  /** Time of the last one seen (`last-repeated`). */
  readonly after?: string;
}

/** `answerMs`: how long Pebble may take to answer, apart from what is waited for. */
export const openPebble = (socket: string, { answerMs = 5_000 }: { readonly answerMs?: number } = {}): Pebble => {
  const transport = transportTo(socket, answerMs);
  const ask = async <T>(schema: z.ZodType<T>, asked: Ask, signal: AbortSignal): Promise<T> =>
    parsed(schema, envelopeIn(await transport(asked, signal)).result);
  const get = <T>(schema: z.ZodType<T>, path: string, query: Ask['query'], signal: AbortSignal): Promise<T> =>
    ask(schema, { method: 'GET', path, query: query ?? {} }, signal);
  const tell = async (path: string, body: unknown, signal: AbortSignal) =>
    envelopeIn(await transport({ method: 'POST', path, body: json(body) }, signal));
  const begin = async (path: string, body: unknown, signal: AbortSignal) => {
    const begun = await tell(path, body, signal);
    if (begun.type !== 'async') throw noProtocol('it tells of no change where one was to begin');
    return begun;
  };
  const files = async (body: unknown, signal: AbortSignal): Promise<readonly FileResult[]> =>
    parsed(fileResults, (await tell('/v1/files', body, signal)).result);

  const pebble: Pebble = {
    systemInfo: (signal) => get(systemInfo, '/v1/system-info', {}, signal),

    readFiles: async (paths, signal) => {
      if (paths.length === 0) return [];
      const query = { action: 'read', path: paths };
      const accept = 'multipart/form-data';
      const answer = await transport({ method: 'GET', path: '/v1/files', query, accept }, signal);
      if (answer.status !== 200) envelopeIn(answer);
      return filesIn(paths, decodeMultipart(answer.headers['content-type'] ?? '', answer.body));
    },
    listFiles: async (path, signal, pattern) => {
      try {
        return await get(fileInfos, '/v1/files', { action: 'list', path, pattern }, signal);
      } catch (cause) {
        if (isRefused(cause, 'not-found')) return null;
        throw cause;
      }
    },
    writeFiles: async (given, signal) => {
      if (given.length === 0) return [];
      const metadata = { action: 'write', files: given.map(({ path, ...owned }) => ({ path, ...ownershipOf(owned) })) };
      const contents = given.map(({ path, content }) => ({ path, content: Buffer.from(content) }));
      const { contentType, body } = encodeMultipart(metadata, contents);
      const asked: Ask = { method: 'POST', path: '/v1/files', body: { contentType, content: body } };
      return await ask(fileResults, asked, signal);
    },
    makeDirectories: (directories, signal) =>
      files(
        {
          action: 'make-dirs',
          dirs: directories.map(({ path, withParents = false, ...owned }) => ({
            path,
            'make-parents': withParents,
            ...ownershipOf(owned),
          })),
        },
        signal,
      ),
    removePaths: (paths, signal) =>
      files({ action: 'remove', paths: paths.map(({ path, recursive = false }) => ({ path, recursive })) }, signal),

    addLayer: async (label, layer, signal) => {
      // JSON is YAML.
      await tell(
        '/v1/layers',
        { action: 'add', combine: true, label, format: 'yaml', layer: JSON.stringify(layer) },
        signal,
      );
    },
    plan: (signal) => get(text, '/v1/plan', { format: 'yaml' }, signal),
    services: (names, signal) =>
      get(services, '/v1/services', names.length === 0 ? {} : { names: names.join(',') }, signal),
    act: async (action, names, signal) => (await begin('/v1/services', { action, services: names }, signal)).change,
    replan: async (signal) => (await begin('/v1/services', { action: 'replan' }, signal)).change,
    signal: async (name, names, signal) => {
      await tell('/v1/signals', { signal: name, services: names }, signal);
    },

    change: (id, signal) => get(change, `/v1/changes/${encodeURIComponent(id)}`, {}, signal),
    ended: async (id, withinMs, signal) => {
      const deadline = performance.now() + withinMs;
      for (;;) {
        const left = Math.ceil(Math.max(1, Math.min(longestWaitMs, deadline - performance.now())));
        const found = await waited(id, left, signal);
        if (found?.ready === true) return sound(found);
        if (performance.now() >= deadline)
          throw new PebbleError({ kind: 'away' }, `Pebble did not end what it began within ${withinMs} ms`);
      }
    },

    logs: async (names, count, signal) => {
      const query = { services: names.join(','), n: String(count) };
      const answer = await transport({ method: 'GET', path: '/v1/logs', query }, signal);
      if (answer.status !== 200) envelopeIn(answer);
      const lines = answer.body.toString('utf8').split('\n').filter(Boolean);
      return lines.map((line) => parsed(logEntry, jsonIn(Buffer.from(line))));
    },
    exec: async (command, signal) => {
      const begun = await begin('/v1/exec', requestOf(command), signal);
      const task = parsed(execution, begun.result)['task-id'];
      const output = await converse(socket, task, command.input ?? '', signal).catch(async (cause: unknown) => {
        if (signal.aborted) throw cause;
        // A command that could not be run at all says why in its change.
        await pebble.ended(begun.change, command.withinMs + longestWaitMs, signal);
        throw cause;
      });
      const { tasks } = await pebble.ended(begun.change, command.withinMs + longestWaitMs, signal);
      return { ...output, exitCode: tasks[0]?.data?.['exit-code'] ?? -1 };
    },
    notices: ({ types, keys, after }, signal) =>
      get(notices, '/v1/notices', { types: types?.join(','), keys: keys?.join(','), after }, signal),
    notify: async (key, data, signal) =>
      parsed(noticed, (await tell('/v1/notices', { action: 'add', type: 'custom', key, data }, signal)).result).id,
    checks: (signal) => get(checks, '/v1/checks', {}, signal),
  };

  /** Null when it had not ended by then. */
  const waited = async (id: string, ms: number, signal: AbortSignal): Promise<Change | null> => {
    try {
      const path = `/v1/changes/${encodeURIComponent(id)}/wait`;
      const asked: Ask = { method: 'GET', path, query: { timeout: `${ms}ms` }, withinMs: ms + graceMs };
      return await ask(change, asked, signal);
    } catch (cause) {
      if (cause instanceof PebbleError && cause.trouble.kind === 'refused' && cause.trouble.status === 504) return null;
      throw cause;
    }
  };

  return pebble;
};

/** Shorter than anything between us that gives up on a silent connection. */
const longestWaitMs = 4_000;
const graceMs = 5_000;

const parsed = <T>(schema: z.ZodType<T>, result: unknown): T => {
  const said = schema.safeParse(result);
  if (!said.success) throw noProtocol('its answer has another shape', said.error);
  return said.data;
};

const json = (body: unknown): NonNullable<Ask['body']> => ({
  contentType: 'application/json',
  content: Buffer.from(JSON.stringify(body)),
});

const ownershipOf = ({ permissions, user }: Ownership): Ownership => ({
  ...(permissions === undefined ? {} : { permissions }),
  ...(user === undefined ? {} : { user }),
});

const filesIn = (paths: readonly string[], parts: ReturnType<typeof decodeMultipart>): readonly FileRead[] => {
  const answer = parts.find(({ name }) => name === 'response');
  if (answer === undefined) throw noProtocol('files without a word about them');
  const type = { 'content-type': 'application/json' };
  const results = parsed(fileResults, envelopeIn({ status: 200, headers: type, body: answer.content }).result);
  return paths.map((path) => {
    const error = results.find((result) => result.path === path)?.error;
    if (error?.kind === 'not-found') return { kind: 'missing' };
    if (error) return { kind: 'unreadable', reason: error.message };
    const content = parts.find(({ filename }) => filename === path)?.content;
    if (content === undefined) throw noProtocol(`no content of ${path}`);
    return { kind: 'read', content: content.toString('utf8') };
  });
};

const sound = (found: Change): Change => {
  if (found.err === undefined || found.err === '') return found;
  const log = found.tasks.flatMap((task) => task.log ?? []).join('\n');
  throw new PebbleError({ kind: 'change', change: found }, `Pebble says: ${found.err.trim()}${log && `\n${log}`}`);
};

const text = z.string();
