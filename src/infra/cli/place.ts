/** Where a unit is asked, as people name it. */
import { Secret } from '../../actors/model/secret.ts';
import { readClosedFile, readOpenFile } from '../files/closed-file.ts';
import { CliFailure, exit } from './exit.ts';

export type Place =
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'url';
      readonly url: URL;
      /** Authorities that may have signed its certificate, in PEM. */
      readonly ca: readonly string[];
      readonly token: Secret | null;
    };

export const socketAt = (path: string): Place => ({ kind: 'socket', path });

export const nameOf = (place: Place): string =>
  place.kind === 'socket' ? place.path : place.url.href.replace(/\/$/, '');

/** As a unit is told where to listen: then its socket is the way to it. */
export const isListenAddress = (text: string): boolean => /^(?:\[[^\]/]*\]|[^/:]+):\d{1,5}$/.test(text);

export interface Credentials {
  /** TROUPE_API_TOKEN_FILE. */
  readonly tokenFile: string | null;
  /** TROUPE_API_CA_FILE. */
  readonly caFile: string | null;
}

/** Files are read each time a place is looked for, so that a token that was changed is used. */
export const placeOf = async (text: string, { tokenFile, caFile }: Credentials): Promise<Place> => {
  if (isListenAddress(text)) throw refuse(text, `must be a URL (https://${text}) or the path of a unit's socket`);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return socketAt(text.replace(/^unix:/, ''));
  const url = urlOf(text);
  const ca = url.protocol === 'https:' ? await authorities(caFile) : [];
  return { kind: 'url', url, ca, token: tokenFile === null ? null : await tokenFrom(tokenFile) };
};

const refuse = (text: string, why: string): CliFailure =>
  new CliFailure(exit.usage, `--api ${JSON.stringify(text.replace(/\/\/[^/@]*@/, '//…@'))}: ${why}`);

const urlOf = (text: string): URL => {
  const url = URL.parse(text);
  if (url === null || !['https:', 'http:'].includes(url.protocol))
    throw refuse(text, "must be a URL such as https://host:8443, or the path of a unit's socket");
  if (url.username !== '' || url.password !== '')
    throw refuse(text, 'must not hold a token or password, which everybody could read: use TROUPE_API_TOKEN_FILE');
  if (url.search !== '' || url.hash !== '') throw refuse(text, 'must end after the host, the port and perhaps a path');
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw refuse(text, 'without TLS only this machine itself is asked: use https://');
  return url;
};

const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);

const authorities = async (file: string | null): Promise<readonly string[]> => {
  const { getCACertificates } = await import('node:tls');
  if (file === null) return [...getCACertificates('default'), ...getCACertificates('system')];
  const text = await usable('TROUPE_API_CA_FILE', readOpenFile(file));
  const { X509Certificate } = await import('node:crypto');
  try {
    new X509Certificate(text);
    return [text];
  } catch (cause) {
    throw new CliFailure(exit.usage, `TROUPE_API_CA_FILE: ${file}: it is no certificate in PEM`, cause);
  }
};

/** A file with one token; a line of a unit's token file will do. */
const tokenFrom = async (file: string): Promise<Secret> => {
  const text = await usable('TROUPE_API_TOKEN_FILE', readClosedFile(file));
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const [, token] = /^\s*(?:[a-z,]+\s+)?([A-Za-z0-9._~+/-]+=*)\s*$/.exec(lines[0] ?? '') ?? [];
  if (token === undefined || lines.length > 1)
    throw new CliFailure(
      exit.usage,
      `TROUPE_API_TOKEN_FILE: ${file}: it holds ${lines.length > 1 ? `${lines.length} lines` : 'no token'}: put the one token to use there, alone`,
    );
  return new Secret(token);
};

const usable = async (setting: string, reading: Promise<string>): Promise<string> => {
  try {
    return await reading;
  } catch (cause) {
    throw new CliFailure(exit.usage, `${setting}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
};
