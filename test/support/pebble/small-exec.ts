/** Commands with their streams on websockets: begun when `stdio` and `stderr` are there, ended by its time, killed with `control`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { PassThrough } from 'node:stream';
import type { WebSocket } from 'ws';
import { becoming } from './small-account.ts';
import { durationMs } from './small-layer.ts';

export interface ExecRequest {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly 'working-dir'?: string | undefined;
  readonly timeout?: string | undefined;
  readonly user?: string | undefined;
  readonly 'split-stderr'?: boolean | undefined;
}

export class SmallExec {
  readonly #request: ExecRequest;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #sockets = new Map<string, WebSocket>();
  readonly #connected = Promise.withResolvers<void>();
  readonly #input = new PassThrough();
  #child: ChildProcess | null = null;

  constructor(request: ExecRequest, environment: Readonly<Record<string, string>>) {
    this.#request = request;
    this.#environment = environment;
  }

  accepts(name: string): boolean {
    return ['control', 'stdio', ...(this.#split ? ['stderr'] : [])].includes(name) && !this.#sockets.has(name);
  }

  connect(name: string, socket: WebSocket): void {
    this.#sockets.set(name, socket);
    socket.on('error', () => {});
    if (name === 'stdio')
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        if (isBinary) this.#input.write(data);
        else this.#input.end();
      });
    if (name === 'control') this.#control(socket);
    else if (this.#sockets.has('stdio') && (!this.#split || this.#sockets.has('stderr'))) this.#connected.resolve();
  }

  /** Its exit code, when all output is on its way. Rejects with a sentence. */
  async run(): Promise<number> {
    await within(
      connectMs,
      this.#connected.promise,
      'timeout waiting for websocket connections: context deadline exceeded',
    );
    const [program = '', ...args] = this.#request.command;
    const account = await becoming(this.#request.user);
    const home = account === undefined ? {} : { HOME: account.home, USER: account.name };
    const child = spawn(program, args, {
      cwd: this.#request['working-dir'] ?? account?.home ?? '/',
      env: { LANG: 'C.UTF-8', ...this.#environment, ...home, ...this.#request.environment },
      detached: true,
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    this.#child = child;
    const stdio = this.#sockets.get('stdio');
    const stderr = this.#split ? this.#sockets.get('stderr') : stdio;
    child.stdout.on('data', (chunk: Buffer) => stdio?.send(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr?.send(chunk));
    child.stdin.on('error', () => {}); // It may end without reading all of it.
    this.#input.pipe(child.stdin);
    const limit = this.#request.timeout === undefined ? 0 : durationMs(this.#request.timeout);
    let timedOut = false;
    const killing = setTimeout(
      () => {
        timedOut = true;
        child.kill('SIGKILL');
      },
      limit === 0 ? 2 ** 31 - 1 : limit,
    );
    try {
      const code = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (exitCode) => resolve(exitCode ?? -1));
      });
      if (timedOut) throw new Error(`timed out after ${this.#request.timeout}: context deadline exceeded`);
      return code;
    } finally {
      clearTimeout(killing);
      for (const socket of new Set([stdio, stderr])) {
        socket?.send(JSON.stringify({ command: 'end' }));
        // The real one listens no more, and says no goodbye.
        socket?.pause();
        setTimeout(() => socket?.terminate(), forgottenMs).unref();
      }
      this.#sockets.get('control')?.close();
    }
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
    for (const socket of this.#sockets.values()) socket.terminate();
  }

  get #split(): boolean {
    return this.#request['split-stderr'] === true;
  }

  #control(socket: WebSocket): void {
    socket.on('message', (data: Buffer) => {
      const said: unknown = JSON.parse(data.toString('utf8'));
      const name = /^SIG[A-Z0-9]+$/.exec(String(Reflect.get(Object(Reflect.get(Object(said), 'signal')), 'name')))?.[0];
      if (name !== undefined) this.#child?.kill(name as NodeJS.Signals);
    });
    // Without a closing word: who asked has died.
    socket.on('close', (code: number) => {
      if (code === 1006) this.#child?.kill('SIGKILL');
    });
  }
}

const connectMs = 5_000;
const forgottenMs = 2_000;

const within = async (ms: number, work: Promise<void>, reason: string): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(reason)), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
