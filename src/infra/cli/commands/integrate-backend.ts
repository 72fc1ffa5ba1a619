import type { RelationStatus } from '../../../actors/model/status.ts';
import { passwordFrom } from '../../files/password-file.ts';
import { askFor } from '../change.ts';
import { CliFailure, exit } from '../exit.ts';
import { print, type Verb, waitFlags } from '../verb.ts';
import { patienceOf, verifiedLook, waitUntil } from '../waiting.ts';

export const integrateBackendVerb: Verb = {
  name: 'integrate backend',
  summary: 'add a PostgreSQL cluster, or change how it is reached',
  usage: 'NAME --endpoints HOST:PORT,... --username USER --password-file FILE',
  takes: { least: 1, most: 1 },
  flags: {
    endpoints: { value: 'HOST:PORT,...', help: 'its servers; the primary is found among them' },
    username: { value: 'USER', help: 'a login with CREATEROLE and CREATEDB' },
    'password-file': { value: 'FILE', help: 'its password, one line; - reads standard input' },
    'maintenance-database': { value: 'NAME', help: 'database to administer it from (as it was, or postgres)' },
    'accept-cluster': {
      value: 'SYSTEMID',
      help: 'the cluster with this system identifier takes the place of the one served so far',
    },
    ...waitFlags,
  },
  run: async (given, context) => {
    const [name = ''] = given.words;
    const patience = patienceOf(given);
    const endpoints = given.required('endpoints').split(',');
    const username = given.required('username');
    const file = given.required('password-file');
    const password = await passwordFrom(file === '-' ? { stdin: context.stdin } : file);
    const maintenanceDatabase = given.text('maintenance-database');
    const before = (await context.api.status(context.signal)).relations;
    const kept = await askFor(context, {
      type: 'addBackend',
      name,
      endpoints,
      username,
      password,
      maintenanceDatabase,
      acceptCluster: given.text('accept-cluster') ?? undefined,
    });
    if (patience === null) {
      print(context, given, kept, `backend ${name} is kept (version ${kept.version} of the intent)`);
      return;
    }
    const isNew = find(before, name) === undefined;
    const isVerified = verifiedLook(kept.version);
    const relation = await waitUntil(context, patience, (status) => {
      const found = find(status.relations, name);
      // A message about an older way to reach it would be no news; of a new one every word is.
      if (isNew && found?.state === 'blocked')
        throw new CliFailure(exit.refused, `backend ${name} is kept, but it is blocked: ${found.message}`);
      const standing = isVerified(status);
      if (standing.kind === 'pending') return standing;
      return found?.state === 'active'
        ? { kind: 'done', value: found }
        : { kind: 'pending', on: `backend ${name}${found === undefined ? '' : ` (${found.message})`}` };
    });
    print(context, given, { ...kept, relation }, `backend ${name} is reached`);
  },
};

const find = (relations: readonly RelationStatus[], name: string): RelationStatus | undefined =>
  relations.find((relation) => relation.endpoint === 'backend-database' && relation.name === name);
