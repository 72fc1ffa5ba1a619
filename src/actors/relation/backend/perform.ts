import { type Postgres, PostgresUnavailable } from '../../ports/postgres.ts';
import type { BackendMessage } from '../../protocol.ts';
import type { BackendEffect } from './decide.ts';

export const performWith =
  (postgres: Postgres) =>
  async ({ access }: BackendEffect, signal: AbortSignal): Promise<BackendMessage> => {
    const { name } = access;
    try {
      return { type: 'backendInspected', name, access, facts: await postgres.inspect(access, signal) };
    } catch (cause) {
      if (!(cause instanceof PostgresUnavailable)) throw cause;
      return { type: 'backendInspected', name, access, facts: { kind: 'away', reason: cause.message } };
    }
  };
