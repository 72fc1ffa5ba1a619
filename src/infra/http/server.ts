import { chmod } from 'node:fs/promises';
import { type SecureContextOptions, Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import type { Fleet } from '../../actors/ports/fleet.ts';
import type { Log } from '../files/log.ts';
import { codeOf } from '../files/system-error.ts';
import { byToken, everybody } from './access.ts';
import { type AppParts, createApp } from './app.ts';
import { certificateFrom, type CertificateFiles } from './certificate.ts';
import { Fresh, type Made } from './fresh.ts';
import { prepareSocket, refused, socketMode } from './socket-file.ts';
import { keepSocket } from './socket-keeper.ts';
import { tokensFrom } from './tokens.ts';
import { Watchers } from './watchers.ts';

export interface ApiOptions {
  readonly fleet: Fleet;
  /** Path of the unix socket. */
  readonly socket: string;
  /** Null: on the socket only. */
  readonly tcp: TcpOptions | null;
  readonly log: Log;
  readonly version: string;
}

export interface TcpOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Null: without TLS. */
  readonly tls: CertificateFiles | null;
  /** Null: nobody has a token, and probes alone are answered. */
  readonly tokenFile: string | null;
  /** What is wrong with these files while the API goes on with what they held before; all of it, each time it changes. */
  readonly onTroubles: (troubles: readonly FileTrouble[]) => void;
  /** How often the files are looked at. */
  readonly lookMs?: number;
}

export interface FileTrouble {
  readonly file: 'tokens' | 'certificate';
  readonly reason: string;
}

export interface OpenApi extends AsyncDisposable {
  readonly socket: string;
  /** `host:port` listened on; null without TCP. */
  readonly address: string | null;
}

/** Serves the API of this unit until disposed. Rejects with one sentence when it cannot listen. */
export const openApi = async (options: ApiOptions): Promise<OpenApi> => {
  const { socket, tcp } = options;
  await using opened = new AsyncDisposableStack();
  await prepareSocket(socket);
  const local = appOf(options, { access: everybody, tls: null }, opened);
  try {
    await local.listen({ path: socket });
    await chmod(socket, socketMode);
  } catch (cause) {
    throw refused(socket, cause instanceof Error ? cause.message : String(cause), cause);
  }
  opened.use(keepSocket(local.server, socket, options.log));
  const address = tcp === null ? null : await openTcp(options, tcp, opened);
  const open = opened.move();
  return { socket, address, [Symbol.asyncDispose]: () => open.disposeAsync() };
};

/** Whoever still waits for an answer when the unit ends gets so long. */
const farewellMs = 2_000;

const appOf = (
  { fleet, log, version }: ApiOptions,
  guarded: Pick<AppParts, 'access' | 'tls'>,
  opened: AsyncDisposableStack,
): FastifyInstance => {
  const watchers = new Watchers(fleet);
  const { app, cutOff } = createApp({ fleet, log, version, watchers, ...guarded });
  opened.defer(async () => {
    watchers[Symbol.dispose]();
    const late = setTimeout(cutOff, farewellMs);
    await app.close();
    clearTimeout(late);
  });
  return app;
};

const openTcp = async (options: ApiOptions, tcp: TcpOptions, opened: AsyncDisposableStack): Promise<string> => {
  const { host, port, tls, tokenFile } = tcp;
  const keep = keeperOf(tcp, options.log, opened);
  try {
    const tokens = tokenFile === null ? null : await keep('tokens', () => tokensFrom(tokenFile));
    const adopt = (context: SecureContextOptions): void => {
      if (app.server instanceof TlsServer) app.server.setSecureContext(context);
    };
    const certificate = tls === null ? null : await keep('certificate', () => certificateFrom(tls), adopt);
    const access = byToken(() => tokens?.value ?? null, options.log);
    const app = appOf(options, { access, tls: certificate?.value ?? null }, opened);
    await app.listen({ host, port });
    const bound = app.server.address();
    const address = hostPort(host, typeof bound === 'object' && bound !== null ? bound.port : port);
    options.log.info({ address, tls: tls !== null }, 'API listens');
    return address;
  } catch (cause) {
    throw refused(hostPort(host, port), reasonOf(cause), cause);
  }
};

/** Keeps what is made of files as they change, and tells when a change could not be taken. */
const keeperOf = ({ onTroubles, lookMs }: TcpOptions, log: Log, opened: AsyncDisposableStack) => {
  const troubles = new Map<FileTrouble['file'], FileTrouble>();
  return async <T>(file: FileTrouble['file'], make: () => Promise<Made<T>>, adopt: (value: T) => void = () => {}) => {
    const changed = (value: T, reason: string | null): void => {
      adopt(value);
      if (reason === null) log.info({ file }, 'file of the API read again');
      else log.warn({ file, reason }, 'file of the API not taken, what it held before stays in use');
      troubles.delete(file);
      if (reason !== null) troubles.set(file, { file, reason });
      onTroubles([...troubles.values()]);
    };
    return opened.use(await Fresh.of(make, changed, lookMs));
  };
};

const hostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: choose another port',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'the account that this program runs as may not listen there: choose a port above 1023',
  ENOTFOUND: 'there is no such host',
};

const reasonOf = (cause: unknown): string =>
  reasons[String(codeOf(cause))] ?? (cause instanceof Error ? cause.message : String(cause));
