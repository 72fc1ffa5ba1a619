import type { CredentialsAnswer } from '../../../actors/ports/fleet.ts';
import { ApiRefusal } from '../api-refusal.ts';
import { askFor } from '../change.ts';
import { settingsFlags, settingsIn } from '../client-settings.ts';
import { type Context, print, type Verb, waitFlags } from '../verb.ts';
import { patienceOf, verifiedLook, waitUntil } from '../waiting.ts';

export const integrateClientVerb: Verb = {
  name: 'integrate client',
  summary: 'give a client a database and a login, or change its settings',
  usage:
    'NAME --database DATABASE [--backend BACKEND] [--roles ROLE,...] [--pool-mode MODE] [--budget N] [--query-timeout S]...',
  takes: { least: 1, most: 1 },
  flags: {
    database: { value: 'NAME', help: 'made when it is not there' },
    backend: { value: 'NAME', help: 'may be left out when there is only one' },
    roles: {
      value: 'ROLE,...',
      help: 'extra rights of the login: createdb, createrole (what it makes logs in too, as a member of troupe_client_DATABASE)',
    },
    ...settingsFlags,
    ...waitFlags,
  },
  run: async (given, context) => {
    const [name = ''] = given.words;
    const patience = patienceOf(given);
    const database = given.required('database');
    const extraUserRoles = given.text('roles')?.split(',') ?? null;
    const settings = settingsIn(given);
    const kept = await askFor(context, {
      type: 'addClient',
      name,
      database,
      backend: given.text('backend'),
      extraUserRoles,
      ...(settings === undefined ? {} : { settings }),
    });
    if (patience === null) {
      print(context, given, kept, `client ${name} is kept (version ${kept.version} of the intent)`);
      return;
    }
    const isVerified = verifiedLook(kept.version);
    const credentials = await waitUntil(context, patience, async (status, signal) => {
      const relation = status.relations.find((one) => one.endpoint === 'database' && one.name === name);
      const answer = await credentialsOf(context, name, signal);
      if (answer.kind === 'told' || (answer.kind === 'hidden' && relation?.state === 'active')) {
        // A client that was there before has credentials already; what was changed about it must be served too.
        const standing = isVerified(status);
        return standing.kind === 'pending' ? standing : { kind: 'done', value: answer };
      }
      const reason = relation?.message ?? (answer.kind === 'notYet' ? answer.reason : 'the unit does not know it yet');
      return { kind: 'pending', on: `the credentials of client ${name} (${reason})` };
    });
    if (credentials.kind === 'hidden') {
      const said = `client ${name} has database ${database}; its credentials take a token with scope secrets`;
      print(context, given, { ...kept, client: name, database }, said);
      return;
    }
    const { username, endpoints } = credentials.value;
    print(
      context,
      given,
      { ...kept, client: name, database, username, endpoints },
      [
        `client ${name} has database ${database}, as ${username}, at ${endpoints.join(', ')}`,
        `psql "$(troupe dsn ${name})" opens it`,
      ].join('\n'),
    );
  },
};

/** Hidden from a token that may change the fleet and not read what it hands out. */
const credentialsOf = async (
  { api }: Context,
  name: string,
  signal: AbortSignal,
): Promise<CredentialsAnswer | { readonly kind: 'hidden' }> => {
  try {
    return await api.credentials(name, signal);
  } catch (cause) {
    if (cause instanceof ApiRefusal && cause.error.code === 'forbidden') return { kind: 'hidden' };
    throw cause;
  }
};
