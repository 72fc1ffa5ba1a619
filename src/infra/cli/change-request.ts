import type { z } from 'zod';
import type { Change, ChangeOutcome } from '../../actors/model/change.ts';
import type { backendSchema, clientSchema, optionsChangeSchema } from '../../api/change.ts';
import { unitNumberOf } from '../../actors/model/ids.ts';
import { pathOf, routes } from '../../api/routes.ts';
import type { ApiRefusal } from './answer.ts';

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
      const { type: _, endpoints, password, ...backend } = change;
      const revealed = { ...backend, endpoints: [...endpoints], password: password.reveal() };
      const body: z.input<typeof backendSchema> = { ...revealed, ...signed };
      return { method: routes.addBackend.method, path: pathOf('addBackend'), body };
    }
    case 'addClient': {
      const { name, database, backend, extraUserRoles, settings } = change;
      const body: z.input<typeof clientSchema> = {
        name,
        database,
        ...(backend === null ? {} : { backend }),
        ...(extraUserRoles === null ? {} : { extraUserRoles: [...extraUserRoles] }),
        ...settings,
        ...signed,
      };
      return { method: routes.addClient.method, path: pathOf('addClient'), body };
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

/** What the API said of a change, as the fleet said it; null for what concerns the request and not the change. */
export const outcomeOf = ({ error }: ApiRefusal): ChangeOutcome | null => {
  const { code, message: reason, problems, moved } = error;
  if (code === 'invalid-input') return { kind: 'invalid', problems: problems ?? [{ path: 'body', reason }] };
  if (code === 'unknown-unit') return { kind: 'invalid', problems: [{ path: 'unit', reason }] };
  if (code === 'unknown-relation') return { kind: 'invalid', problems: [{ path: 'name', reason }] };
  if (code === 'refused') return { kind: 'refused', reason };
  if (code === 'unavailable') return { kind: 'unavailable', reason };
  return code === 'moved' && moved !== undefined ? { kind: 'moved', ...moved } : null;
};
