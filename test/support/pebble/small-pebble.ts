/**
 * Pebble's API in small, for where there is none: it really starts processes, writes files and runs commands, keeps layers in
 * memory only, and passes the suite that the real one passes. Anybody who reaches its socket may do everything.
 */
import { accessSync, constants } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { delimiter, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { isDeepStrictEqual } from 'node:util';
import { WebSocketServer } from 'ws';
import { stringify } from 'yaml';
import { z } from 'zod';
import { decodeMultipart } from '../../../src/infra/pebble/multipart.ts';
import type { PebbleDaemon, PebbleOptions } from './daemon.ts';
import { accountOf } from './small-account.ts';
import { SmallCheck } from './small-check.ts';
import { SmallExec } from './small-exec.ts';
import { attempt, list, makeDirectory, problemOf, read, remove, write } from './small-files.ts';
import { emptyLayer, type Layer, merged, parseLayer, planOf } from './small-layer.ts';
import { SmallLogTarget } from './small-log-target.ts';
import { type LogLine, SmallService } from './small-service.ts';

/** `says` hears each command that it was asked to run, with all that it was asked with. */
export const startSmallPebble = async (
  { directory, environment }: PebbleOptions,
  says: (line: string) => void = () => {},
): Promise<PebbleDaemon> => {
  const socket = join(directory, 'pebble.socket');
  const boot = async (): Promise<SmallPebble> => {
    const daemon = new SmallPebble(socket, environment, says);
    await daemon.listen();
    return daemon;
  };
  let daemon: SmallPebble | null = await boot();
  const kill = async (): Promise<void> => {
    await daemon?.end();
    daemon = null;
  };
  return {
    socket,
    label: 'the small Pebble',
    kill,
    startAgain: async () => {
      await kill();
      daemon = await boot();
    },
    [Symbol.asyncDispose]: kill,
  };
};

class SmallPebble {
  readonly #socket: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #says: (line: string) => void;
  readonly #server: Server;
  readonly #bootId = crypto.randomUUID();
  readonly #layers = new Map<string, Layer>();
  #plan: Layer = emptyLayer;
  readonly #services = new Map<string, SmallService>();
  readonly #checks = new Map<string, SmallCheck>();
  readonly #logTargets = new Map<string, SmallLogTarget>();
  readonly #changes = new Map<string, Change>();
  readonly #execs = new Map<string, SmallExec>();
  readonly #notices = new Map<string, Notice>();
  #numbered = 0;

  constructor(socket: string, environment: Readonly<Record<string, string>>, says: (line: string) => void) {
    this.#socket = socket;
    this.#environment = environment;
    this.#says = says;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    const websockets = new WebSocketServer({ noServer: true });
    this.#server.on('upgrade', (request, stream, head) => {
      const [, task = '', name = ''] = /^\/v1\/tasks\/([^/]+)\/websocket\/([^/]+)$/.exec(request.url ?? '') ?? [];
      const execution = this.#execs.get(task);
      if (execution?.accepts(name) !== true) return void stream.destroy();
      websockets.handleUpgrade(request, stream, head, (websocket) => execution.connect(name, websocket));
    });
  }

  async listen(): Promise<void> {
    await rm(this.#socket, { force: true });
    const listening = Promise.withResolvers<void>();
    // The real one lets everybody in, and asks who they are then.
    const at = { path: this.#socket, readableAll: true, writableAll: true };
    this.#server.once('error', listening.reject).listen(at, listening.resolve);
    await listening.promise;
  }

  /** Nothing of it lives on. */
  async end(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const check of this.#checks.values()) check.end();
    for (const target of this.#logTargets.values()) target.end();
    for (const execution of this.#execs.values()) execution.kill();
    await Promise.all([...this.#services.values()].map((service) => service.end()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    try {
      const body = await buffer(request);
      const reply = await this.#route(request, url, body);
      response.writeHead(reply.status, { 'content-type': reply.type }).end(reply.content);
    } catch (cause) {
      const { status, word } = cause instanceof Refusal ? cause : { status: 500, word: undefined };
      const message = cause instanceof Error ? cause.message : String(cause);
      const result = { message, ...(word === undefined ? {} : { kind: word }) };
      const text = JSON.stringify({ type: 'error', 'status-code': status, status: 'Error', result });
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    }
  }

  async #route(request: IncomingMessage, url: URL, body: Buffer): Promise<Reply> {
    const [, , what = '', id, verb] = url.pathname.split('/');
    const isPost = request.method === 'POST';
    const given = (): unknown => JSON.parse(body.toString('utf8'));
    switch (what) {
      case 'system-info':
        return sync({ 'boot-id': this.#bootId, version: 'small' });
      case 'files':
        return isPost ? this.#changeFiles(request, body) : this.#lookAtFiles(request, url.searchParams);
      case 'layers':
        return sync(this.#addLayer(checkedBody(layerBody, given())));
      case 'plan':
        return sync(stringify(this.#plan));
      case 'services':
        return isPost ? this.#act(checkedBody(actBody, given())) : sync(this.#listServices(namesIn(url, 'names')));
      case 'signals':
        return sync(this.#signal(checkedBody(signalBody, given())));
      case 'changes':
        return sync(await this.#lookAtChange(id ?? '', verb === 'wait' ? url.searchParams.get('timeout') : null));
      case 'logs':
        return this.#logs(namesIn(url, 'services'), Number(url.searchParams.get('n') ?? 30));
      case 'exec':
        return this.#exec(checkedBody(execBody, given()));
      case 'notices':
        return sync(isPost ? this.#notify(checkedBody(noticeBody, given())) : this.#listNotices(url));
      case 'checks':
        return sync([...this.#checks.values()].map(({ info }) => info));
      case 'health':
        return this.#health(url.searchParams.get('level') ?? '');
      default:
        throw new Refusal(404, 'not found');
    }
  }

  async #lookAtFiles({ headers }: IncomingMessage, query: URLSearchParams): Promise<Reply> {
    const paths = query.getAll('path');
    const [path = ''] = paths;
    if (query.get('action') === 'list') {
      try {
        return sync(await list(path, query.get('pattern'), query.get('itself') === 'true'));
      } catch (cause) {
        const { kind, message } = problemOf(cause);
        throw new Refusal(kind === 'not-found' ? 404 : 400, message, kind);
      }
    }
    if (headers.accept !== 'multipart/form-data') throw new Refusal(400, 'must accept multipart/form-data');
    const contents = new Map<string, Buffer>();
    const results = await Promise.all(
      paths.map((one) => attempt(one, async () => void contents.set(one, await read(one)))),
    );
    return multipart(contents, results);
  }

  async #changeFiles({ headers }: IncomingMessage, body: Buffer): Promise<Reply> {
    const type = headers['content-type'] ?? '';
    if (type.startsWith('multipart/form-data')) {
      const [metadata, ...files] = decodeMultipart(type, body);
      const given = checkedBody(writeBody, JSON.parse(metadata?.content.toString('utf8') ?? ''));
      const contents = new Map(files.map(({ filename, content }) => [filename, content]));
      return sync(
        await Promise.all(
          given.files.map((file) => attempt(file.path, () => write(file, contents.get(file.path) ?? Buffer.alloc(0)))),
        ),
      );
    }
    const given = checkedBody(filesBody, JSON.parse(body.toString('utf8')));
    const results = given.action === 'make-dirs' ? makeAll(given.dirs) : removeAll(given.paths);
    return sync(await results);
  }

  #addLayer({ label, combine, layer }: z.infer<typeof layerBody>): true {
    const before = this.#layers.get(label);
    if (before !== undefined && !combine) throw new Refusal(400, `layer "${label}" already exists`);
    try {
      const added = parseLayer(label, layer);
      const own = before === undefined ? added : merged(before, added);
      const layers = new Map([...this.#layers, [label, own]]);
      const plan = planOf([...layers.values()]);
      this.#layers.set(label, own);
      this.#plan = plan;
    } catch (cause) {
      throw new Refusal(400, cause instanceof Error ? cause.message : String(cause));
    }
    this.#followChecks();
    for (const [name, config] of Object.entries(this.#plan['log-targets'])) {
      const target = this.#logTargets.get(name) ?? new SmallLogTarget(config);
      target.config = config;
      this.#logTargets.set(name, target);
    }
    return true;
  }

  /** One whose words are the same goes on. */
  #followChecks(): void {
    for (const [name, config] of Object.entries(this.#plan.checks)) {
      const known = this.#checks.get(name);
      if (known !== undefined && isDeepStrictEqual(known.config, config)) continue;
      known?.end();
      this.#checks.set(name, new SmallCheck(name, config, (turned) => this.#noteTurn(name, turned)));
    }
  }

  /** What Kubernetes asks for: `ready` counts those of `alive` too. */
  #health(level: string): Reply {
    const counted = level === 'ready' ? ['ready', 'alive'] : [level];
    const isDown = [...this.#checks.values()].some(
      (check) => check.isDown && (level === '' || counted.includes(check.config.level ?? '')),
    );
    return { ...sync({ healthy: !isDown }), status: isDown ? 502 : 200 };
  }

  /** As Juju hears of it: each turn is the end of a change, of which there is a notice. */
  #noteTurn(name: string, turned: 'down' | 'up'): void {
    const kind = turned === 'down' ? 'perform-check' : 'recover-check';
    const [id, isDown] = [this.#next(), turned === 'down'];
    const err = isDown ? `cannot perform the following tasks:\n- Perform tcp check "${name}"` : '';
    const done = Promise.resolve();
    this.#changes.set(id, { id, kind, status: isDown ? 'Error' : 'Done', err, log: [], exitCode: null, done });
    this.#keepNotice('change-update', id, { kind, 'check-name': name });
  }

  #listServices(names: readonly string[]): readonly unknown[] {
    return Object.entries(this.#plan.services)
      .filter(([name]) => names.length === 0 || names.includes(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { startup = 'disabled' }]) => ({
        name,
        startup,
        current: this.#services.get(name)?.current ?? 'inactive',
      }));
  }

  #act({ action, services: names = [] }: z.infer<typeof actBody>): Reply {
    const unknown = names.find((name) => this.#plan.services[name] === undefined);
    if (unknown !== undefined) throw new Refusal(400, `cannot ${action} services: service "${unknown}" does not exist`);
    if (names.length === 0 && action !== 'replan') throw new Refusal(400, `must specify services for ${action} action`);
    const stopping = action === 'replan' ? this.#outdated() : action === 'start' ? [] : names;
    const starting =
      action === 'replan' ? [...new Set([...stopping, ...this.#enabled()])] : action === 'stop' ? [] : names;
    return this.#begin(action, async () => {
      await each(stopping, 'Stop', (name) => this.#services.get(name)?.stop() ?? Promise.resolve());
      await each(starting, 'Start', (name) => this.#start(name));
    });
  }

  async #start(name: string): Promise<readonly string[]> {
    const config = this.#plan.services[name];
    if (config === undefined) throw new Error(`cannot find service "${name}" in plan`);
    const said = (line: LogLine): void => {
      for (const target of this.#logTargets.values()) target.note(line);
    };
    const service = this.#services.get(name) ?? new SmallService(name, config, this.#environment, said);
    this.#services.set(name, service);
    try {
      await service.start(config);
      return [];
    } catch (cause) {
      const last = service.logs.slice(-20).map(({ message }) => `    ${message}`);
      const log = last.length === 0 ? [] : [`Most recent service output:\n${last.join('\n')}`];
      throw new Logged(cause instanceof Error ? cause.message : String(cause), log);
    }
  }

  #outdated(): readonly string[] {
    return [...this.#services.values()].filter((one) => one.isUp && this.#hasChanged(one)).map(({ name }) => name);
  }

  #hasChanged({ name, config }: SmallService): boolean {
    return JSON.stringify(this.#plan.services[name]) !== JSON.stringify(config);
  }

  #enabled(): readonly string[] {
    return Object.entries(this.#plan.services).flatMap(([name, { startup }]) => (startup === 'enabled' ? [name] : []));
  }

  #signal({ signal, services: names }: z.infer<typeof signalBody>): true {
    for (const name of names) {
      const service = this.#services.get(name);
      if (service === undefined) throw new Refusal(500, `cannot send signal to "${name}": service is not running`);
      service.signal(signal as NodeJS.Signals);
    }
    return true;
  }

  #logs(names: readonly string[], count: number): Reply {
    const wanted = [...this.#services.values()].filter(({ name }) => names.length === 0 || names.includes(name));
    const lines = wanted
      .flatMap(({ logs }) => logs)
      .toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    const last = count < 0 ? lines : lines.slice(Math.max(0, lines.length - count));
    const content = Buffer.from(last.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return { status: 200, type: 'application/x-ndjson', content };
  }

  async #exec(request: z.infer<typeof execBody>): Promise<Reply> {
    const [program = ''] = request.command;
    if (!this.#isProgram(program)) throw new Refusal(400, `cannot find executable "${program}"`);
    if (request.user !== undefined && (await accountOf(request.user)) === null)
      throw new Refusal(400, `user: unknown user ${request.user}`);
    this.#says(`exec ${JSON.stringify(request)}`);
    const execution = new SmallExec(request, this.#environment);
    const task = this.#next();
    this.#execs.set(task, execution);
    return this.#begin(
      'exec',
      async (change) => {
        try {
          change.exitCode = await execution.run();
        } catch (cause) {
          change.exitCode = -1;
          throw cause;
        } finally {
          this.#execs.delete(task);
        }
      },
      { 'task-id': task },
    );
  }

  #isProgram(name: string): boolean {
    const directories = name.includes('/') ? [''] : (this.#environment['PATH'] ?? '').split(delimiter);
    return directories.some((directory) => {
      try {
        accessSync(join(directory, name), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  }

  #begin(kind: string, work: (change: Change) => Promise<void>, result: unknown = null): Reply {
    const change: Change = {
      id: this.#next(),
      kind,
      status: 'Doing',
      err: '',
      log: [],
      exitCode: null,
      done: Promise.resolve(),
    };
    this.#changes.set(change.id, change);
    change.done = work(change).then(
      () => {
        change.status = 'Done';
      },
      (cause: unknown) => {
        change.status = 'Error';
        change.log = cause instanceof Logged ? cause.log : [];
        change.err = `cannot perform the following tasks:\n- ${cause instanceof Error ? cause.message : String(cause)}`;
      },
    );
    const text = JSON.stringify({ type: 'async', 'status-code': 202, status: 'Accepted', change: change.id, result });
    return { status: 202, type: 'application/json', content: Buffer.from(text) };
  }

  async #lookAtChange(id: string, timeout: string | null): Promise<unknown> {
    const change = this.#changes.get(id);
    if (change === undefined) throw new Refusal(404, `cannot find change with id "${id}"`, 'not-found');
    if (timeout !== null) {
      const late = new Promise<'late'>((resolve) => setTimeout(resolve, milliseconds(timeout), 'late').unref());
      if ((await Promise.race([change.done, late])) === 'late')
        throw new Refusal(504, `timed out waiting for change after ${timeout}`);
    }
    const { kind, status, err, log, exitCode } = change;
    const data = exitCode === null ? {} : { data: { 'exit-code': exitCode } };
    const ready = status !== 'Doing';
    return { id, kind, status, ready, ...(err === '' ? {} : { err }), tasks: [{ id, kind, status, log, ...data }] };
  }

  #notify({ key, data = {} }: z.infer<typeof noticeBody>): unknown {
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+(\/[a-z0-9-]+)+$/.test(key)) throw new Refusal(400, `invalid key "${key}"`);
    return { id: this.#keepNotice('custom', key, data) };
  }

  #keepNotice(type: Notice['type'], key: string, data: Notice['last-data']): string {
    const before = this.#notices.get(key);
    const id = before?.id ?? this.#next();
    const now = new Date().toISOString();
    this.#notices.set(key, {
      id,
      'user-id': null,
      type,
      key,
      'first-occurred': before?.['first-occurred'] ?? now,
      'last-occurred': now,
      'last-repeated': now,
      occurrences: (before?.occurrences ?? 0) + 1,
      'last-data': data,
    });
    return id;
  }

  #listNotices(url: URL): readonly Notice[] {
    const [types, keys, after] = [namesIn(url, 'types'), namesIn(url, 'keys'), url.searchParams.get('after')];
    return [...this.#notices.values()]
      .filter((notice) => types.length === 0 || types.includes(notice.type))
      .filter((notice) => keys.length === 0 || keys.includes(notice.key))
      .filter((notice) => after === null || Date.parse(notice['last-repeated']) > Date.parse(after));
  }

  #next(): string {
    this.#numbered += 1;
    return String(this.#numbered);
  }
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly content: Buffer;
}
interface Change {
  readonly id: string;
  readonly kind: string;
  status: 'Doing' | 'Done' | 'Error';
  err: string;
  log: readonly string[];
  exitCode: number | null;
  done: Promise<void>;
}
interface Notice {
  readonly id: string;
  readonly 'user-id': null;
  readonly type: 'custom' | 'change-update';
  readonly key: string;
  readonly 'first-occurred': string;
  readonly 'last-occurred': string;
  readonly 'last-repeated': string;
  readonly occurrences: number;
  readonly 'last-data': Readonly<Record<string, string>>;
}

class Refusal extends Error {
  readonly status: number;
  readonly word: string | undefined;
  constructor(status: number, message: string, word?: string) {
    super(message);
    this.status = status;
    this.word = word;
  }
}

/** With what the task has in its log. */
class Logged extends Error {
  readonly log: readonly string[];
  constructor(message: string, log: readonly string[]) {
    super(message);
    this.log = log;
  }
}

const layerBody = z.object({
  action: z.literal('add'),
  label: z.string(),
  combine: z.boolean().default(false),
  layer: z.string(),
});
const names = z.array(z.string());
const actBody = z.object({ action: z.enum(['start', 'stop', 'restart', 'replan']), services: names.optional() });
const signalBody = z.object({ signal: z.string().regex(/^SIG[A-Z0-9]+$/), services: names });
const owned = { path: z.string(), permissions: z.string().optional(), user: z.string().optional() };
const writeBody = z.object({
  action: z.literal('write'),
  files: z.array(z.object({ ...owned, 'make-dirs': z.boolean().optional() })),
});
const filesBody = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('make-dirs'),
    dirs: z.array(z.object({ ...owned, 'make-parents': z.boolean().optional() })),
  }),
  z.object({
    action: z.literal('remove'),
    paths: z.array(z.object({ path: z.string(), recursive: z.boolean().optional() })),
  }),
]);
type FilesBody = z.infer<typeof filesBody>;
const execBody = z.object({
  command: names.min(1),
  environment: z.record(z.string(), z.string()).optional(),
  'working-dir': z.string().optional(),
  timeout: z.string().optional(),
  user: z.string().optional(),
  'split-stderr': z.boolean().optional(),
});
const noticeBody = z.object({
  action: z.literal('add'),
  type: z.literal('custom'),
  key: z.string(),
  data: z.record(z.string(), z.string()).optional(),
});

const checkedBody = <T>(schema: z.ZodType<T>, body: unknown): T => {
  const said = schema.safeParse(body);
  if (!said.success) throw new Refusal(400, `cannot decode request body: ${said.error.message}`);
  return said.data;
};

const sync = (result: unknown): Reply => ({
  status: 200,
  type: 'application/json',
  content: Buffer.from(JSON.stringify({ type: 'sync', 'status-code': 200, status: 'OK', result })),
});

const multipart = (contents: ReadonlyMap<string, Buffer>, results: readonly unknown[]): Reply => {
  const boundary = crypto.randomUUID();
  const quoted = (path: string): string => path.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  const chunks = [
    ...[...contents].flatMap(([path, content]) => [
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="${quoted(path)}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
      ),
      content,
      Buffer.from('\r\n'),
    ]),
    Buffer.from(
      `--${boundary}\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name="response"\r\n\r\n`,
    ),
    sync(results).content,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ];
  return { status: 200, type: `multipart/form-data; boundary=${boundary}`, content: Buffer.concat(chunks) };
};

const namesIn = (url: URL, key: string): readonly string[] =>
  url.searchParams.getAll(key).flatMap((value) => value.split(',').filter(Boolean));

const milliseconds = (timeout: string): number => {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(timeout) ?? [];
  if (count === undefined) throw new Refusal(400, `invalid timeout "${timeout}"`);
  return Number(count) * (unit === 's' ? 1_000 : 1);
};

const makeAll = (directories: Extract<FilesBody, { readonly action: 'make-dirs' }>['dirs']) =>
  inOrder(directories, (directory) => attempt(directory.path, () => makeDirectory(directory)));
const removeAll = (paths: Extract<FilesBody, { readonly action: 'remove' }>['paths']) =>
  inOrder(paths, ({ path, recursive = false }) => attempt(path, () => remove(path, recursive)));

const inOrder = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> => {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
};

/** Side by side; all of them have ended when one has failed. */
const each = async (
  names: readonly string[],
  verb: string,
  work: (name: string) => Promise<unknown>,
): Promise<void> => {
  const outcomes = await Promise.allSettled(names.map(work));
  const troubles = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [{ name: names[index] ?? '', cause: outcome.reason as unknown }] : [],
  );
  if (troubles.length === 0) return;
  const sentences = troubles.map(
    ({ name, cause }) => `${verb} service "${name}" (${cause instanceof Error ? cause.message : String(cause)})`,
  );
  throw new Logged(
    sentences.join('\n- '),
    troubles.flatMap(({ cause }) => (cause instanceof Logged ? cause.log : [])),
  );
};
