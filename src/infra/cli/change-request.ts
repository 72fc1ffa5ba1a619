import type { z } from 'zod';
import type { Change, ChangeOutcome, FleetChange } from '../../actors/model/change.ts';
import type { backendSchema, clientSchema, fleetSchema, optionsChangeSchema } from '../../api/change.ts';
import { unitNumberOf } from '../../actors/model/ids.ts';
import { pathOf, routes } from '../../api/routes.ts';
import type { WallMs } from '../../actors/model/ids.ts';
import type { ApiRefusal } from './api-refusal.ts';

/** As an operator's change is signed; `expected` is the version of the intent it was made from. */
export interface About {
  readonly author: string;
  readonly expected: number | null;
}

interface ChangeRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

export const requestFor = (change: Change, about?: About): ChangeRequest => {
  const signed = {
    ...(about === undefined ? {} : { author: about.author }),
    ...(about === undefined || about.expected === null ? {} : { expected: about.expected }),
  };
  switch (change.type) {
    case 'setOptions': {
      const body: z.input<typeof optionsChangeSchema> = { options: { ...change.options }, ...signed };
      return { method: routes.changeOptions.method, path: pathOf('changeOptions'), body };
    }
    case 'addBackend': {
      const body: z.input<typeof backendSchema> = { name: change.name, ...backendBody(change), ...signed };
      return { method: routes.addBackend.method, path: pathOf('addBackend'), body };
    }
    case 'addClient': {
      const body: z.input<typeof clientSchema> = { name: change.name, ...clientBody(change), ...signed };
      return { method: routes.addClient.method, path: pathOf('addClient'), body };
    }
    case 'applyFleet': {
      const body: z.input<typeof fleetSchema> = { ...fleetBody(change), ...signed };
      return { method: routes.applyFleet.method, path: pathOf('applyFleet'), body };
    }
    case 'removeRelation': {
      const path = pathOf('removeRelation', { name: change.name });
      return { method: routes.removeRelation.method, path: withQuery(path, signed) };
    }
    case 'removeUnit': {
      const path = pathOf('removeUnit', { number: unitNumberOf(change.unit) });
      const query = change.force ? { ...signed, force: true } : signed;
      return { method: routes.removeUnit.method, path: withQuery(path, query) };
    }
  }
};

const withQuery = (path: string, values: Readonly<Record<string, string | number | boolean>>): string => {
  const query = new URLSearchParams(Object.entries(values).map(([key, value]): [string, string] => [key, `${value}`]));
  return query.size === 0 ? path : `${path}?${query.toString()}`;
};

/** The same question without the change. */
export const comparisonFor = (change: FleetChange): ChangeRequest => ({
  method: routes.compareFleet.method,
  path: pathOf('compareFleet'),
  body: fleetBody(change),
});

const fleetBody = ({ application, options, backends, clients, prune }: FleetChange): z.input<typeof fleetSchema> => ({
  ...(application === null ? {} : { application }),
  options: { ...options },
  backends: Object.fromEntries(Object.entries(backends).map(([name, backend]) => [name, backendBody(backend)])),
  clients: Object.fromEntries(Object.entries(clients).map(([name, client]) => [name, clientBody(client)])),
  prune,
});

const backendBody = ({
  endpoints,
  username,
  password,
  maintenanceDatabase,
  acceptCluster,
}: FleetChange['backends'][string]) => ({
  endpoints: [...endpoints],
  username,
  password: password.reveal(),
  ...(maintenanceDatabase === null ? {} : { maintenanceDatabase }),
  ...(acceptCluster === undefined ? {} : { acceptCluster }),
});

const clientBody = ({ database, backend, extraUserRoles, settings }: FleetChange['clients'][string]) => ({
  database,
  ...(backend === null ? {} : { backend }),
  ...(extraUserRoles === null ? {} : { extraUserRoles: [...extraUserRoles] }),
  ...settings,
});

export type Failed = Exclude<ChangeOutcome, { readonly kind: 'accepted' | 'unchanged' }>;

/** What the API said of a change, as the fleet said it; null for what concerns the request and not the change. */
export const outcomeOf = ({ error }: ApiRefusal): Failed | null => {
  const { code, message: reason, problems, moved } = error;
  if (code === 'invalid-input') return { kind: 'invalid', problems: problems ?? [{ path: 'body', reason }] };
  if (code === 'unknown-unit') return { kind: 'invalid', problems: [{ path: 'unit', reason }] };
  if (code === 'unknown-relation') return { kind: 'invalid', problems: [{ path: 'name', reason }] };
  if (code === 'refused') return { kind: 'refused', reason };
  if (code === 'unavailable') return { kind: 'unavailable', reason };
  if (code !== 'moved' || moved === undefined) return null;
  const { version, by, at, since = null } = moved;
  return { kind: 'moved', version, by, at: wallOf(at), since };
};

/** An older unit does not say when. */
const wallOf = (at: string | undefined): WallMs => (at === undefined ? 0 : Date.parse(at)) as WallMs;
