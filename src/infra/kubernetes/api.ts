import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Agent, request as Request } from 'node:https';
import { join } from 'node:path';
import { Secret } from '../../actors/model/secret.ts';
import { statusSeen } from './objects.ts';

/** The API server, and who asks: Kubernetes gives both to every pod. */
export interface KubernetesPlace {
  readonly host: string;
  readonly port: number;
  /** Directory with `token` and `ca.crt` of the service account. */
  readonly account: string;
}

export type Answer =
  | { readonly kind: 'done'; readonly body: unknown }
  /** It said no, and will do so again until somebody changes something, or in a while; `status` says which. */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }
  /** It said nothing that can be understood. What was asked may have been done. */
  | { readonly kind: 'unreachable'; readonly reason: string };

export interface KubernetesApi extends Disposable {
  get(path: string): Promise<Answer>;
  /**
   * Makes the object so, whether it is there or not: server-side apply, fields of others stay. Harmless when done twice.
   * `manager`: who decides about these fields, a name that stays the same; what it applied before and does not now goes.
   */
  apply(path: string, object: object, manager: string): Promise<Answer>;
}

const answerMs = 10_000;
const longest = 16 * 1024 * 1024;
const contentType = 'application/apply-patch+yaml'; // JSON is YAML.

/** Nothing is asked, or read, before it is used. */
export const openKubernetesApi = (place: KubernetesPlace): KubernetesApi => {
  let agent: Agent | null = null;
  const ask = async (asked: Asked): Promise<Answer> => {
    try {
      // Loaded where it is needed: many a hook does not, and it takes longer than the question.
      const { Agent: AgentOfHttps, request } = await import('node:https');
      agent ??= new AgentOfHttps({ keepAlive: true, maxSockets: 4 });
      const response = await begin(request, place, agent, asked);
      return answerOf(response.statusCode ?? 0, JSON.parse(await textOf(response)));
    } catch (cause) {
      return { kind: 'unreachable', reason: cause instanceof Error ? cause.message : String(cause) };
    }
  };
  return {
    get: (path) => ask({ method: 'GET', path, body: null }),
    apply: (path, object, manager) =>
      ask({
        method: 'PATCH',
        path: `${path}?${new URLSearchParams({ fieldManager: manager, force: 'true' }).toString()}`,
        body: JSON.stringify(object),
      }),
    [Symbol.dispose]: () => agent?.destroy(),
  };
};

interface Asked {
  readonly method: 'GET' | 'PATCH';
  readonly path: string;
  readonly body: string | null;
}

const begin = async (
  request: typeof Request,
  place: KubernetesPlace,
  agent: Agent,
  { method, path, body }: Asked,
): Promise<IncomingMessage> => {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { token, ca } = accountIn(place.account);
  request({
    host: place.host,
    port: place.port,
    ca,
    path,
    method,
    agent,
    signal: AbortSignal.timeout(answerMs),
    headers: {
      accept: 'application/json',
      authorization: `Bearer ${token.reveal()}`,
      ...(body === null ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
    },
  })
    .on('response', resolve)
    .on('error', reject)
    .end(body ?? undefined);
  return await promise;
};

/** Kubernetes writes a new token every hour. */
const accountIn = (directory: string): { readonly token: Secret; readonly ca: string } => ({
  token: new Secret(readFileSync(join(directory, 'token'), 'utf8').trim()),
  ca: readFileSync(join(directory, 'ca.crt'), 'utf8'),
});

const textOf = async (response: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > longest) throw new Error(`the answer is longer than ${longest} characters`);
  }
  return text;
};

const answerOf = (status: number, body: unknown): Answer => {
  if (status >= 200 && status < 300) return { kind: 'done', body };
  const said = statusSeen.safeParse(body);
  return { kind: 'refused', status, reason: said.success ? said.data.message : `HTTP status ${status}` };
};
