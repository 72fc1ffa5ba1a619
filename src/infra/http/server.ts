import { chmod } from 'node:fs/promises';
import fastify, { type FastifyInstance } from 'fastify';
import type { Fleet } from '../../actors/ports/fleet.ts';
import { isStream, methodsAt, operations } from '../../api/routes.ts';
import type { Log } from '../files/log.ts';
import { jsonOf } from './body.ts';
import { handlersOf } from './handlers.ts';
import { bodyLimit, parserRefusalOf, Refusal, refusalOf } from './refusal.ts';
import { prepareSocket, refused, socketMode } from './socket-file.ts';
import { Watchers } from './watchers.ts';

/**
 * Fastify loads parts of itself at the first start. They are loaded here, while the program may still read its own files: a unit
 * that root started gives its rights up before it opens the API, and the checkout may be closed to the account it then runs as.
 */
await fastify({ logger: false }).ready();

export interface ApiOptions {
  readonly fleet: Fleet;
  /** Path of the unix socket. */
  readonly socket: string;
  readonly log: Log;
  readonly version: string;
}

export interface OpenApi extends AsyncDisposable {
  readonly socket: string;
}

/** Serves the API of this unit until disposed. Rejects with one sentence when it cannot listen. */
export const openApi = async (options: ApiOptions): Promise<OpenApi> => {
  const { socket } = options;
  const watchers = new Watchers(options.fleet);
  const app = createApp(options, watchers);
  await prepareSocket(socket);
  try {
    await app.listen({ path: socket });
    await chmod(socket, socketMode);
  } catch (cause) {
    await app.close();
    throw refused(socket, cause instanceof Error ? cause.message : String(cause), cause);
  }
  return { socket, [Symbol.asyncDispose]: () => close(app, watchers) };
};

const jsonMedia = 'application/json; charset=utf-8';

/** Whoever still waits for an answer when the unit ends gets so long. */
const farewellMs = 2_000;

const close = async (app: FastifyInstance, watchers: Watchers): Promise<void> => {
  watchers[Symbol.dispose]();
  const late = setTimeout(() => app.server.closeAllConnections(), farewellMs);
  await app.close();
  clearTimeout(late);
};

/** The API on no address yet. */
const createApp = ({ fleet, log, version }: ApiOptions, watchers: Watchers): FastifyInstance => {
  const app = fastify({
    logger: false,
    bodyLimit,
    requestTimeout: 10_000,
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, _, reply) => {
      const { status, body } = refusalOf(error, log, '');
      reply.hijack();
      reply.raw.writeHead(status, { 'content-type': jsonMedia }).end(JSON.stringify(body));
    },
    clientErrorHandler: (error, socket) => {
      if (socket.writable) socket.end(rawAnswer(parserRefusalOf(error)));
      else socket.destroy();
    },
  });
  app.server.maxConnections = 512;
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
    if (refusal.body.error.code === 'not-yet') reply.header('retry-after', '1');
    return reply.code(refusal.status).send(refusal.body);
  });
  app.setNotFoundHandler(({ method, url }, reply) => {
    const path = url.split('?')[0] ?? '';
    const methods = methodsAt(path);
    if (methods.length === 0)
      throw new Refusal('not-found', 'there is nothing at this path: /openapi.json lists what there is');
    reply.header('allow', methods.join(', '));
    throw new Refusal('method-not-allowed', `${method} is not for this path: it has ${methods.join(', ')}`);
  });
  register(app, handlersOf({ fleet, watchers, version, log }));
  return app;
};

const register = (app: FastifyInstance, handlers: ReturnType<typeof handlersOf>): void => {
  for (const [operation, route] of operations) {
    const url = route.path.replace(/\{(\w+)\}/g, ':$1');
    const handler = handlers[operation];
    const method = route.method.toUpperCase();
    app.route({
      method,
      url,
      exposeHeadRoute: method === 'GET' && !isStream(route),
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
