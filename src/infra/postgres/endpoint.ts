import type { BackendServer } from '../../actors/model/backend.ts';

const defaultPort = 5432;

/** `host`, `host:port`, `[v6]`, `[v6]:port` or a socket directory; null for anything else. */
export const serverOf = (endpoint: string): BackendServer | null => {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(endpoint) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? null : { host, port };
};
