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
        return { ...effect, type: 'minted', account: await credentials.mint(effect.username) };
      case 'keep': {
        const { id, username, password } = effect;
        return { type: 'minted', id, account: await credentials.keep(username, password) };
      }
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
      case 'audit':
        return audit(postgres, effect, signal);
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

const audit = async (
  postgres: Postgres,
  { access, primary, leadership, provisions }: Extract<ClientEffect, { type: 'audit' }>,
  signal: AbortSignal,
): Promise<ClientMessage> => {
  const answer = { type: 'audited', backend: access.name, epoch: leadership.epoch } as const;
  try {
    return { ...answer, audit: await postgres.audit(access, primary, leadership, provisions, signal) };
  } catch (cause) {
    if (!(cause instanceof PostgresUnavailable)) throw cause;
    return { ...answer, audit: null };
  }
};
