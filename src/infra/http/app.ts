import type { RequestListener, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { isStream, methodsAt, operations } from '../../api/routes.ts';
import type { Scope } from '../../api/scope.ts';
import { codeOf } from '../files/system-error.ts';
import type { Access } from './access.ts';
import { jsonOf } from './body.ts';
import { type HandlerParts, handlersOf } from './handlers.ts';
import { bodyLimit, parserRefusalOf, Refusal, refusalOf } from './refusal.ts';

/** Not imported: that loads the whole of `fetch` too, 2 MB of a unit (Node 24). */
const { createServer } = process.getBuiltinModule('node:http');

/**
 * Fastify loads parts of itself at the first start. They are loaded here, while the program may still read its own files: a unit
 * that root started gives its rights up before it opens the API, and the checkout may be closed to the account it then runs as.
 */
await fastify({ logger: false }).ready();

export interface AppParts extends HandlerParts {
  readonly access: Access;
  /** Null: without TLS. */
  readonly tls: SecureContextOptions | null;
}

/** Bounds for whoever is slow or many. Node looks for the slow ones only so often. */
const limits = {
  connectionsCheckingInterval: 1_000,
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 72_000,
  maxHeaderSize: 16_384,
  // Nothing depends on it, and the refusal would have no body.
  requireHostHeader: false,
} as const;
const mostConnections = 512;
const handshakeTimeout = 10_000;

const jsonMedia = 'application/json; charset=utf-8';

/** Whoever is refused may read the answer so long, and then is cut off whether it did or not. */
const lingerMs = 1_000;

const isAboutHttp = (error: Error): boolean => /^(?:HPE_|ERR_HTTP_)/.test(String(codeOf(error)));

export interface App {
  readonly app: FastifyInstance;
  /** Everybody who is connected, also those who have not said anything yet, of whom the server itself knows nothing. */
  readonly cutOff: () => void;
}

/** The API on no address yet. */
export const createApp = (parts: AppParts): App => {
  const { log, access, tls } = parts;
  const app = fastify({
    logger: false,
    bodyLimit,
    serverFactory: (handler) => serverOf(tls, handler),
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, _, reply) => {
      const { status, body } = refusalOf(error, log, '');
      reply.hijack();
      reply.raw.writeHead(status, { 'content-type': jsonMedia }).end(JSON.stringify(body));
    },
    clientErrorHandler: (error, socket) => {
      // A handshake that failed, or never came, has no ear for an answer.
      if (!socket.writable || !isAboutHttp(error)) return void socket.destroy();
      socket.end(rawAnswer(parserRefusalOf(error)));
      setTimeout(() => socket.destroy(), lingerMs).unref();
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
    try {
      done(null, jsonOf(Buffer.from(body)));
    } catch (cause) {
      done(cause instanceof Error ? cause : new Error(String(cause)));
    }
  });
  app.addHook('onRequest', async (_, reply) => void reply.header('cache-control', 'no-store'));
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) =>
    log.debug({ method, route: routeOptions.url, status: statusCode, tookMs: elapsedTime }, 'answered'),
  );
  app.setErrorHandler((cause, { routeOptions }, reply) => {
    const refusal = refusalOf(cause, log, routeOptions.url ?? '');
    return reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
  });
  app.setNotFoundHandler((request, reply) => {
    admit(access, request, 'read');
    const { method, url } = request;
    const path = url.split('?')[0] ?? '';
    const methods = methodsAt(path);
    if (methods.length === 0)
      throw new Refusal('not-found', 'there is nothing at this path: /openapi.json lists what there is');
    reply.header('allow', methods.join(', '));
    throw new Refusal('method-not-allowed', `${method} is not for this path: it has ${methods.join(', ')}`);
  });
  register(app, access, handlersOf(parts));
  const connections = new Set<Socket>();
  app.server.on('connection', (connection) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
  });
  const cutOff = (): void => {
    for (const connection of connections) connection.destroy();
  };
  return { app, cutOff };
};

const serverOf = (tls: SecureContextOptions | null, handler: RequestListener): Server => {
  const server =
    tls === null ? createServer(limits, handler) : createTlsServer({ ...limits, ...tls, handshakeTimeout }, handler);
  server.maxConnections = mostConnections;
  return server;
};

const admit = (access: Access, { headers, ip }: FastifyRequest, needed: Scope): void =>
  access({ authorization: headers.authorization, needed, from: ip });

const register = (app: FastifyInstance, access: Access, handlers: ReturnType<typeof handlersOf>): void => {
  for (const [operation, route] of operations) {
    const url = route.path.replace(/\{(\w+)\}/g, ':$1');
    const handler = handlers[operation];
    const method = route.method.toUpperCase();
    app.route({
      method,
      url,
      exposeHeadRoute: method === 'GET' && !isStream(route),
      // Before the body is read: a stranger's is none of our business.
      onRequest: async (request) => {
        if (route.scope !== null) admit(access, request, route.scope);
      },
      handler: async (request, reply) => {
        if (!route.probe) refuseUnknownQuery(request.query, route.query);
        return handler(request, reply);
      },
    });
    if (route.probe)
      app.options(url, async (request, reply) => {
        await handler(request, reply);
        reply.header('allow', 'GET, HEAD, OPTIONS');
        return reply.send();
      });
  }
};

const refuseUnknownQuery = (query: unknown, known: Readonly<Record<string, string>> = {}): void => {
  const strange = Object.keys(Object(query)).filter((name) => !Object.hasOwn(known, name));
  if (strange.length === 0) return;
  const problems = strange.map((name) => ({
    path: `?${name.slice(0, 100)}`,
    reason: 'is not a parameter of this path',
  }));
  throw new Refusal('invalid-input', problems.map(({ path, reason }) => `${path} ${reason}`).join('; '), { problems });
};

const rawAnswer = ({ status, body }: Refusal): string => {
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} Refused`,
    `content-type: ${jsonMedia}`,
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
    '',
    text,
  ].join('\r\n');
};
