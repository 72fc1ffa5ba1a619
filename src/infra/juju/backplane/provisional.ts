/**
 * In a refresh from the charm before, units are made anew one after the other, and the one that leads may be the last. Until it has
 * published anything a unit of ours serves what it can see by itself: databases of which that charm kept the login in a secret.
 */
import type { Published } from '../../../actors/model/fleet-spec.ts';
import type { Epoch, Generation, UnitName, WallMs } from '../../../actors/model/ids.ts';
import type { Finding } from '../../../actors/model/remark.ts';
import type { BackendServer } from '../../../actors/model/backend.ts';
import { completeOptions, checkOptions, optionOf } from '../../../pgbouncer/catalogue.ts';
import { digestOfSpec } from '../../files/canonical.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { JujuTools } from '../tools.ts';
import { secretLabelOf } from '../wire/secret-groups.ts';
import { type Ancestor, credentialsIn } from '../wire/taken-over.ts';
import { backendName } from './intent.ts';

export interface Provisional {
  /** Before the first one of a leader. */
  readonly published: Published;
  /** Clients that it cannot serve: only who leads sees their logins. */
  readonly left: number;
}

export interface Seen {
  readonly unit: UnitName;
  readonly instances: number;
  readonly ancestor: Ancestor;
  readonly primary: BackendServer;
  readonly config: Readonly<Record<string, string | number | boolean>>;
}

/** Null where there is no login to be seen. */
export const provisionalOf = async (tools: JujuTools, seen: Seen): Promise<Provisional | null> => {
  const { unit, instances, ancestor, primary, config } = seen;
  const clients = [];
  for (const { relation, name, legacy } of ancestor.databases) {
    const credentials = legacy ? null : credentialsIn({}, await userSecret(tools, relation));
    if (credentials !== null) clients.push({ ...credentials, database: name });
  }
  if (clients.length === 0) return null;
  const given = Object.entries(config).filter(
    ([key, value]) => optionOf(key) !== undefined && checkOptions({ [key]: value }).length === 0,
  );
  const options = completeOptions(Object.fromEntries(given));
  // As it was there: for each PgBouncer.
  const maxConnections = Number(options['max_db_connections'] ?? 0) * instances;
  const databases = [...new Set(clients.map(({ database }) => database))].toSorted();
  const spec = {
    options,
    backends: [],
    abandoned: [],
    databases: databases.map((name) => ({
      name,
      database: name,
      backend: backendName,
      ...primary,
      maxConnections,
      readOnly: false,
    })),
    // PgBouncer logs in with them: what PostgreSQL keeps of a password is not to be seen here.
    users: clients
      .map(({ username, password }) => ({
        name: username,
        secret: password,
        poolMode: null,
        maxConnections: 0,
        timeouts: {},
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    slots: [{ unit, instances }],
    holdings: [],
  };
  const published: Published = {
    generation: 0 as Generation,
    epoch: 0 as Epoch,
    digest: digestOfSpec(spec),
    author: unit,
    reason: 'what the charm before served',
    at: 0 as WallMs,
    intentVersion: 0,
    spec,
  };
  return { published, left: ancestor.databases.length - clients.length };
};

/** Of the application, whose units may all read it. */
const userSecret = async (tools: JujuTools, relation: number) => {
  try {
    return await tools.secretGet(
      { label: secretLabelOf({ endpoint: 'database', id: relation }, null, 'user') },
      'refresh',
    );
  } catch (cause) {
    if (cause instanceof ToolRefusal && cause.kind === 'forbidden') return null;
    throw cause;
  }
};

export const provisionalRemark = ({ left }: Provisional): Finding => ({
  id: 'before-leader',
  message: `the unit that leads has not been refreshed yet: this one serves what the charm before kept in secrets${left === 0 ? '' : `, and ${left === 1 ? 'one client' : `${left} clients`} only once that unit is refreshed`}`,
});
