/** What takes traces by OTLP over HTTP, in JSON, and shows what it was sent; or never answers. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const attributes = z
  .array(z.strictObject({ key: z.string(), value: z.strictObject({ stringValue: z.string() }) }))
  .transform((all) => Object.fromEntries(all.map(({ key, value }) => [key, value.stringValue])));
const nanoseconds = z.string().regex(/^\d{19}$/);
const span = z.strictObject({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  name: z.string(),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes,
  status: z.strictObject({ code: z.int().min(0).max(2).optional(), message: z.string().optional() }),
});
const sent = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          spans: z.array(span),
        }),
      ),
    }),
  ),
});

export interface TakenTrace {
  readonly resource: Readonly<Record<string, string>>;
  readonly spans: readonly z.infer<typeof span>[];
}

export class OtlpServer implements AsyncDisposable {
  readonly taken: TakenTrace[] = [];
  /** A status, or null for silence. */
  answer: number | null = 200;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void json(request).then((body) => {
        if (this.answer === null) return;
        const { answer } = this;
        if (request.url !== '/v1/traces' || request.method !== 'POST') return void response.writeHead(404).end();
        for (const { resource, scopeSpans } of sent.parse(body).resourceSpans)
          this.taken.push({ resource: resource.attributes, spans: scopeSpans.flatMap(({ spans }) => spans) });
        response.writeHead(answer, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async open(): Promise<OtlpServer> {
    const server = new OtlpServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get place(): { readonly host: string; readonly port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  get url(): string {
    return `http://127.0.0.1:${this.place.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
