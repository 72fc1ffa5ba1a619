import { type Scope, suffices } from '../../api/scope.ts';
import type { Log } from '../files/log.ts';
import { Refusal } from './refusal.ts';
import type { Tokens } from './tokens.ts';

/** Whoever asks, and what for. */
export interface Asking {
  readonly authorization: string | undefined;
  readonly needed: Scope;
  readonly from: string;
}

/** Lets a request pass, or throws a Refusal. */
export type Access = (asking: Asking) => void;

/** Over the unix socket: the mode of its file and directory has decided already. */
export const everybody: Access = () => {};

/** One line of the log per so much time tells that somebody tries tokens. */
const quietMs = 10_000;

/** By token. `tokens` gives those of the moment; null when there are none at all. */
export const byToken = (tokens: () => Tokens | null, log: Log): Access => {
  let toldAt = Number.NEGATIVE_INFINITY;
  let untold = 0;
  const tell = (from: string): void => {
    untold += 1;
    if (performance.now() - toldAt < quietMs) return;
    log.warn({ from, requests: untold }, 'a token was refused');
    toldAt = performance.now();
    untold = 0;
  };
  return ({ authorization, needed, from }) => {
    const book = tokens();
    if (book === null)
      throw unauthorized(
        'this unit has no tokens: over TCP it answers probes only, until TROUPE_API_TOKEN_FILE is set',
      );
    if (authorization === undefined)
      throw unauthorized(
        'a token is needed here: send it as "Authorization: Bearer TOKEN" (troupe reads it from TROUPE_API_TOKEN_FILE)',
      );
    const [, token] = /^Bearer +([^\s]+) *$/i.exec(authorization) ?? [];
    const granted = token === undefined ? null : book.grantedTo(token);
    if (granted === null) {
      tell(from);
      throw unauthorized('the token is not one that this unit knows: use one of its token file', 'invalid_token');
    }
    if (!suffices(granted, needed))
      throw new Refusal(
        'forbidden',
        `the token has scope ${[...granted].join(', ')}, and this needs ${needed}: use a token that has it`,
        {},
        { 'www-authenticate': `${challenge}, error="insufficient_scope", scope="${needed}"` },
      );
  };
};

const challenge = 'Bearer realm="troupe"';
const unauthorized = (message: string, error?: string): Refusal =>
  new Refusal(
    'unauthorized',
    message,
    {},
    { 'www-authenticate': error === undefined ? challenge : `${challenge}, error="${error}"` },
  );
