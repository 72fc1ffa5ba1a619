import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { writeOwned } from '../../src/infra/local/owned-file.ts';
import { type Account, createOwnedDirectory } from '../../src/infra/local/service-user.ts';
import { type Action, type Question, questionSchema, type Started } from './broker-contract.ts';
import type { Provider, TestServer } from './test-server.ts';

export interface BrokerOptions {
  readonly root: string;
  readonly account: Account;
  readonly providers: readonly Provider[];
  readonly pgbouncers: () => Promise<unknown>;
  readonly program: () => Promise<string>;
  readonly charm: () => Promise<string>;
  /** Called with the label of each server that is started. */
  readonly onStarted: (label: string) => void;
}

/**
 * Owns the servers of a test run: they are started when a test first asks, shared by the files of a run, and gone when
 * the run is over, whatever became of the tests.
 */
export class Broker {
  readonly socket: string;
  readonly #options: BrokerOptions;
  readonly #http: Server;
  readonly #shared = new Map<string, Promise<Started>>();
  readonly #servers = new Map<string, TestServer>();
  #starts = 0;

  private constructor(options: BrokerOptions) {
    this.#options = options;
    this.socket = join(options.root, 'broker.sock');
    this.#http = createServer((request, response) => void this.#answer(request, response));
  }

  static async open(options: BrokerOptions): Promise<Broker> {
    const broker = new Broker(options);
    await new Promise<void>((resolve) => broker.#http.listen(broker.socket, resolve));
    return broker;
  }

  async close(): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    await Promise.allSettled(this.#shared.values());
    await Promise.all([...this.#servers.values()].map((server) => server.stop()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const question = questionSchema.parse(JSON.parse(await text(request)));
      response.end(JSON.stringify((await this.#do(question)) ?? null));
    } catch (cause) {
      response.statusCode = 500;
      response.end(cause instanceof Error ? cause.message : String(cause));
    }
  }

  #do(question: Question): Promise<unknown> {
    switch (question.type) {
      case 'start':
        return question.shared ? this.#share(question.provider) : this.#start(question.provider);
      case 'act':
        return this.#act(question.id, question.action);
      case 'log':
        return this.#server(question.id).log();
      case 'standby':
        return this.#startStandby(question.id);
      case 'pgbouncers':
        return this.#options.pgbouncers();
      case 'program':
        return this.#options.program();
      case 'charm':
        return this.#options.charm();
    }
  }

  #share(provider: string): Promise<Started> {
    const started = this.#shared.get(provider) ?? this.#start(provider);
    this.#shared.set(provider, started);
    return started;
  }

  #start(name: string): Promise<Started> {
    const { providers } = this.#options;
    const provider = providers.find((one) => one.name === name);
    if (provider === undefined) throw new Error(`there is no provider "${name}" in this run`);
    return this.#have(provider.start);
  }

  #startStandby(primary: string): Promise<Started> {
    const { label, startStandby } = this.#server(primary);
    if (startStandby === undefined) throw new Error(`${label} has no standbys`);
    return this.#have(startStandby);
  }

  async #have(start: Provider['start']): Promise<Started> {
    const { root, account, onStarted } = this.#options;
    this.#starts += 1;
    const id = String(this.#starts);
    const directory = join(root, id);
    await createOwnedDirectory(directory, account);
    const server = await start(directory);
    this.#servers.set(id, server);
    onStarted(server.label);
    const passwordFile = join(directory, 'password');
    await writeOwned(passwordFile, `${server.password.reveal()}\n`, account);
    const { label, host, port, username } = server;
    return { id, label, host, port, username, password: server.password.reveal(), passwordFile };
  }

  async #act(id: string, action: Action): Promise<void> {
    await this.#server(id)[action]();
    if (action === 'stop') this.#servers.delete(id);
  }

  #server(id: string): TestServer {
    const server = this.#servers.get(id);
    if (server === undefined) throw new Error(`there is no server ${id} in this run`);
    return server;
  }
}
