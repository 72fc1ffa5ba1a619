/** Where the hook tools' executables come in: a directory of them for the PATH, and the socket that they speak to. */
import { once } from 'node:events';
import { chmod, copyFile, mkdir, symlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

export interface ToolRequest {
  readonly contextId: string;
  /** Where the tool was called: relative names of files start there. */
  readonly directory: string;
  /** Of the tool's process: `NAME=value`, with a NUL between. Empty: it has none of its own. */
  readonly environment: string;
  readonly tool: string;
  readonly args: readonly string[];
  /** Reads the standard input of the caller. */
  input(): Promise<string>;
}

export interface ToolAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class AgentSocket implements AsyncDisposable {
  readonly address: string;
  /** Of the executables. */
  readonly directory: string;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  private constructor(home: string, server: Server) {
    this.address = join(home, 'agent.socket');
    this.directory = join(home, 'tools');
    this.#server = server;
  }

  static async open(
    home: string,
    tools: readonly string[],
    answer: (request: ToolRequest) => Promise<ToolAnswer>,
  ): Promise<AgentSocket> {
    const server = createServer();
    const agent = new AgentSocket(home, server);
    await mkdir(agent.directory);
    // A unit may run as another account than the test.
    const program = join(agent.directory, 'hook-tool');
    await copyFile(join(import.meta.dirname, 'hook-tool.pl'), program);
    await chmod(program, 0o755);
    for (const tool of tools) await symlink('hook-tool', join(agent.directory, tool));
    server.on('connection', (socket) => {
      agent.#connections.add(socket);
      socket.on('close', () => agent.#connections.delete(socket)).on('error', () => undefined);
      void serve(socket, answer);
    });
    server.listen(agent.address);
    await once(server, 'listening');
    await chmod(agent.address, 0o777);
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }
}

const serve = async (socket: Socket, answer: (request: ToolRequest) => Promise<ToolAnswer>): Promise<void> => {
  const reading = new Reading(socket);
  try {
    const texts: string[] = [];
    for (let left = await reading.number(); left > 0; left -= 1) texts.push(await reading.text());
    const [contextId = '', directory = '/', environment = '', tool = '', ...args] = texts;
    const input = async (): Promise<string> => {
      socket.write('I');
      return await reading.text();
    };
    const { code, stdout, stderr } = await answer({ contextId, directory, environment, tool, args, input });
    const [out, complaint] = [Buffer.from(stdout), Buffer.from(stderr)];
    socket.end(
      Buffer.concat([
        Buffer.from('D'),
        numbered(code),
        numbered(out.length),
        out,
        numbered(complaint.length),
        complaint,
      ]),
    );
  } catch {
    socket.destroy(); // The caller went away, or was told that the connection is lost.
  }
};

const numbered = (number: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
};

class Reading {
  readonly #chunks: AsyncIterator<Buffer>;
  #bytes = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async number(): Promise<number> {
    return (await this.#take(4)).readUInt32BE();
  }

  async text(): Promise<string> {
    return (await this.#take(await this.number())).toString();
  }

  async #take(count: number): Promise<Buffer> {
    while (this.#bytes.length < count) {
      const chunk = await this.#chunks.next();
      if (chunk.done === true) throw new Error('the hook tool went away');
      this.#bytes = Buffer.concat([this.#bytes, chunk.value]);
    }
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }
}
