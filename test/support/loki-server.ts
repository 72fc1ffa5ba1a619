/** What takes logs as Loki does, as far as Pebble speaks to it, and shows what it was sent. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

export interface Said {
  readonly labels: Readonly<Record<string, string>>;
  readonly line: string;
}

const push = z.object({
  streams: z.array(
    z.object({
      stream: z.record(z.string(), z.string()),
      values: z.array(z.tuple([z.string().regex(/^\d{19}$/), z.string()])),
    }),
  ),
});

export class LokiServer implements AsyncDisposable {
  readonly said: Said[] = [];
  readonly #server: Server;
  #heard = Promise.withResolvers<void>();

  private constructor() {
    this.#server = createServer((request, response) => {
      void json(request).then((body) => {
        const { streams } = push.parse(body);
        for (const { stream, values } of streams)
          this.said.push(...values.map(([, line]) => ({ labels: stream, line })));
        response.writeHead(request.url === path && request.method === 'POST' ? 204 : 404).end();
        this.#heard.resolve();
        this.#heard = Promise.withResolvers();
      });
    });
  }

  static async open(): Promise<LokiServer> {
    const loki = new LokiServer();
    loki.#server.listen(0, '127.0.0.1');
    await once(loki.#server, 'listening');
    return loki;
  }

  get place(): { readonly host: string; readonly port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  get url(): string {
    return `http://127.0.0.1:${this.place.port}${path}`;
  }

  /** Until something of what it was sent is like that. */
  async until(isSo: (said: Said) => boolean): Promise<void> {
    while (!this.said.some(isSo)) await this.#heard.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const path = '/loki/api/v1/push';
