import type { Credentials } from '../../actors/model/status.ts';

/** Host and port of `host:port`; the host of an IPv6 address without its brackets. */
export const hostAndPort = (endpoint: string): { readonly host: string; readonly port: string } => {
  const at = endpoint.lastIndexOf(':');
  return { host: endpoint.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: endpoint.slice(at + 1) };
};

/** A libpq URI; with several endpoints libpq tries them in turn. */
export const uriOf = ({ username, password, database, endpoints }: Credentials): string =>
  `postgresql://${quoted(username)}:${quoted(password)}@${endpoints.join(',')}/${quoted(database)}`;

/** What libpq reads from the environment, as lines for a shell. */
export const environmentOf = ({ username, password, database, endpoints }: Credentials): string => {
  const places = endpoints.map(hostAndPort);
  const variables = {
    PGHOST: places.map(({ host }) => host).join(','),
    PGPORT: places.map(({ port }) => port).join(','),
    PGDATABASE: database,
    PGUSER: username,
    PGPASSWORD: password,
  };
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${shellQuoted(value)}`)
    .join('\n');
};

const quoted = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const shellQuoted = (text: string): string =>
  /^[\w@%+=:,./-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
