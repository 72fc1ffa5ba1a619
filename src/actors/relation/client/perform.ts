import { type Backplane, kindOrUnavailable } from '../../ports/backplane.ts';
import type { Credentials } from '../../ports/credentials.ts';
import { type Postgres, PostgresUnavailable } from '../../ports/postgres.ts';
import type { ClientMessage } from '../../protocol.ts';
import type { ClientEffect } from './state.ts';

export interface Ports {
  readonly backplane: Backplane;
  readonly postgres: Postgres;
  readonly credentials: Credentials;
}

export const performWith =
  ({ backplane, postgres, credentials }: Ports) =>
  async (effect: ClientEffect, signal: AbortSignal): Promise<ClientMessage> => {
    switch (effect.type) {
      case 'mint':
        return { type: 'minted', id: effect.id, account: await credentials.mint(effect.username) };
      case 'writeRecord': {
        const { record } = effect;
        const outcome = await kindOrUnavailable(() => backplane.writeRelation(effect.leadership, record));
        return { type: 'recordAnswered', record, outcome };
      }
      case 'removeRecord': {
        const { id } = effect;
        const outcome = await kindOrUnavailable(() => backplane.removeRelation(effect.leadership, id));
        return { type: 'recordRemoved', id, outcome };
      }
      case 'postgres':
        return takeStep(postgres, effect, signal);
      case 'listTagged':
        return listTagged(postgres, effect, signal);
    }
  };

const takeStep = async (
  postgres: Postgres,
  { access, primary, leadership, relation, step }: Extract<ClientEffect, { type: 'postgres' }>,
  signal: AbortSignal,
): Promise<ClientMessage> => {
  const answer = {
    type: 'postgresAnswered',
    backend: access.name,
    relation,
    step: step.type,
    epoch: leadership.epoch,
  } as const;
  try {
    return { ...answer, outcome: await postgres.take(access, primary, leadership, step, signal) };
  } catch (cause) {
    if (!(cause instanceof PostgresUnavailable)) throw cause;
    return { ...answer, outcome: { kind: 'unavailable', reason: cause.message } };
  }
};

const listTagged = async (
  postgres: Postgres,
  { access, primary }: Extract<ClientEffect, { type: 'listTagged' }>,
  signal: AbortSignal,
): Promise<ClientMessage> => {
  try {
    return { type: 'taggedListed', backend: access.name, logins: await postgres.taggedLogins(access, primary, signal) };
  } catch (cause) {
    if (!(cause instanceof PostgresUnavailable)) throw cause;
    return { type: 'taggedListed', backend: access.name, logins: null };
  }
};
