import type { Credentials, FleetStatus } from '../../../actors/model/status.ts';
import { environmentOf, hostAndPort, uriOf } from '../connection-string.ts';
import { CliFailure, exit } from '../exit.ts';
import { type Context, type Given, print, type Verb } from '../verb.ts';

const formats = ['uri', 'env', 'json'] as const;

export const dsnVerb: Verb = {
  name: 'dsn',
  summary: 'the connection string of a client, password included',
  usage: 'CLIENT [--read-only] [--host HOST] [--format uri|env|json]',
  takes: { least: 1, most: 1 },
  flags: {
    host: { value: 'HOST', help: 'only this unit: its host, host:port, or its name such as pgbouncer/1' },
    'read-only': { help: 'to the standbys of its database' },
    format: { value: 'FORMAT', help: 'uri (for libpq and its kin), env (PGHOST=… lines) or json' },
  },
  run: async (given, context) => {
    const [client = ''] = given.words;
    const format = formatOf(given);
    const answer = await context.api.credentials(client, context.signal);
    if (answer.kind === 'notYet') throw new CliFailure(exit.refused, answer.reason);
    if (answer.kind === 'unknownClient')
      throw new CliFailure(
        exit.usage,
        `there is no client ${JSON.stringify(client)}${answer.clients.length === 0 ? '' : ` (there are: ${answer.clients.join(', ')})`}`,
      );
    const credentials = await narrowed(answer.value, given, context);
    const place = given.has('read-only') ? readingPlace(credentials) : credentials;
    const json = { ...credentials, uri: uriOf(place) };
    if (format === 'json') context.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
    else print(context, given, json, format === 'env' ? environmentOf(place) : uriOf(place));
  },
};

const formatOf = (given: Given): (typeof formats)[number] => {
  const text = given.text('format') ?? (given.has('json') ? 'json' : 'uri');
  const format = formats.find((one) => one === text);
  if (format === undefined)
    throw new CliFailure(exit.usage, `--format ${JSON.stringify(text)}: must be one of ${formats.join(', ')}`);
  if (given.has('json') && format !== 'json')
    throw new CliFailure(exit.usage, `--json and --format ${format}: choose one of them`);
  return format;
};

const readingPlace = (credentials: Credentials): Credentials => {
  const { client, readOnlyDatabase, readOnlyEndpoints } = credentials;
  if (readOnlyDatabase === null)
    throw new CliFailure(
      exit.refused,
      `client ${JSON.stringify(client)} cannot be read from standbys: none is there (troupe status shows them); let reads go to the primary meanwhile with troupe config read_only_fallback=primary`,
    );
  return { ...credentials, database: readOnlyDatabase, endpoints: readOnlyEndpoints };
};

const narrowed = async (credentials: Credentials, given: Given, { api, signal }: Context): Promise<Credentials> => {
  const wanted = given.text('host');
  if (wanted === null) return credentials;
  const address = wanted.includes('/') ? addressOf(await api.status(signal), wanted) : wanted;
  const host = address.replace(/^\[(.*)\]$/, '$1');
  const isWanted = (endpoint: string): boolean => endpoint === address || hostAndPort(endpoint).host === host;
  const endpoints = credentials.endpoints.filter(isWanted);
  if (endpoints.length === 0)
    throw new CliFailure(
      exit.usage,
      `--host ${JSON.stringify(wanted)}: no unit that serves this client is there (there are: ${credentials.endpoints.join(', ')})`,
    );
  return { ...credentials, endpoints, readOnlyEndpoints: credentials.readOnlyEndpoints.filter(isWanted) };
};

const addressOf = ({ units }: FleetStatus, name: string): string => {
  const unit = units.find((one) => one.unit === name);
  if (unit !== undefined) return unit.address;
  throw new CliFailure(
    exit.usage,
    `--host ${JSON.stringify(name)}: there is no such unit (there are: ${units.map((one) => one.unit).join(', ')})`,
  );
};
