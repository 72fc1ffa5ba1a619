import { type PostgresOutcome, type PostgresStep, textOf } from '../../actors/model/backend.ts';
import type { Application } from '../../actors/model/ids.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { type Postgres, PostgresUnavailable } from '../../actors/ports/postgres.ts';
import type { Log } from '../files/log.ts';
import { adoptDatabase } from './adopt-database.ts';
import { adoptLogin } from './adopt-login.ts';
import { atDesk } from './at-desk.ts';
import { createAuditor } from './audit.ts';
import { type Desk, inOrder, refused } from './desk.ts';
import { dropLogin } from './drop-login.ts';
import { ensureDatabase, mendDatabase } from './ensure-database.ts';
import { ensureLogin } from './ensure-login.ts';
import { dropLookup, ensureLookup } from './ensure-lookup.ts';
import { factsOf } from './facts.ts';
import { passFence, raiseFence } from './fence.ts';
import { createLooker } from './look.ts';
import { type Trouble, troubleOf } from './trouble.ts';

export interface PostgresOptions {
  readonly application: Application;
  readonly clock: Clock;
  readonly log: Log;
}

/** PostgreSQL clusters through node-postgres, with an ordinary login that has CREATEROLE and CREATEDB, or with a superuser. */
export const openPostgres = ({ application, clock, log }: PostgresOptions): Postgres => {
  const closing = new AbortController();
  const looker = createLooker(application, clock);
  const auditor = createAuditor(application, clock);
  const until = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, closing.signal]);

  const take: Postgres['take'] = async (access, primary, leadership, step, signal) => {
    const began = clock.now();
    const errand = { application, access, primary, leadership };
    const outcome = await answered(`${sentenceOf(step)} on ${textOf(primary)}`, () =>
      atDesk(errand, (desk) => walk(desk, step), until(signal)),
    );
    const about = { backend: access.name, step: step.type, epoch: leadership.epoch, outcome: outcome.kind };
    log.debug({ ...about, tookMs: Math.round(clock.now() - began) }, 'step on PostgreSQL');
    return outcome;
  };

  return {
    inspect: async (access, signal) =>
      access.maintenanceDatabase === template
        ? { kind: 'blocked', reason: templateInUse }
        : factsOf(access.username, await looker.look(access, until(signal))),
    take,
    audit: async (access, primary, leadership, provisions, signal) =>
      unlessAway(`look at what "${application}" has on ${textOf(primary)}`, () =>
        auditor.audit({ access, primary, leadership }, provisions, until(signal)),
      ),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await Promise.all([looker[Symbol.asyncDispose](), auditor[Symbol.asyncDispose]()]);
    },
  };
};

/** CREATE DATABASE copies it, and cannot while somebody is in it. */
const template = 'template1';
const templateInUse = `"${template}" cannot be the maintenance database, because CREATE DATABASE needs it unused; name another one, for instance "postgres"`;

const walk = (desk: Desk, step: PostgresStep): Promise<PostgresOutcome> =>
  step.type === 'raiseFence'
    ? raiseFence(desk)
    : inOrder(
        () => passFence(desk),
        () => walkInside(desk, step),
      );

const walkInside = (desk: Desk, step: Exclude<PostgresStep, { type: 'raiseFence' }>): Promise<PostgresOutcome> => {
  switch (step.type) {
    case 'ensureDatabase':
      return ensureDatabase(desk, step.database);
    case 'mendDatabase':
      return mendDatabase(desk, step.database);
    case 'ensureLogin':
      return ensureLogin(desk, step);
    case 'adoptDatabase':
      return adoptDatabase(desk, step.database);
    case 'adoptLogin':
      return adoptLogin(desk, step);
    case 'ensureLookup':
      return ensureLookup(desk, step);
    case 'dropLookup':
      return dropLookup(desk, step);
    case 'dropLogin':
      return dropLogin(desk, step.relation, step.username);
  }
};

const sentenceOf = (step: PostgresStep): string => {
  switch (step.type) {
    case 'raiseFence':
      return 'raise the fence';
    case 'ensureDatabase':
      return `make database "${step.database}"`;
    case 'mendDatabase':
      return `mend the rights of database "${step.database}"`;
    case 'ensureLogin':
      return `make login "${step.username}" of database "${step.database}"`;
    case 'adoptDatabase':
      return `take over database "${step.database}"`;
    case 'adoptLogin':
      return `take over login "${step.username}" of database "${step.database}"`;
    case 'ensureLookup':
      return `make the lookup of logins in database "${step.database}"`;
    case 'dropLookup':
      return `drop the lookup of logins "${step.username}" of database "${step.database}"`;
    case 'dropLogin':
      return `drop login "${step.username}"`;
  }
};

/** What PostgreSQL says is an outcome, no answer is an exception, and anything else is a defect and passes. */
const answered = async (operation: string, ask: () => Promise<PostgresOutcome>): Promise<PostgresOutcome> => {
  try {
    return await ask();
  } catch (cause) {
    const trouble = troubleOf(cause);
    if (trouble?.kind === 'refused') return refused(sentence(operation, trouble));
    throw unavailable(operation, cause, trouble);
  }
};

/** A question that PostgreSQL refuses has no answer either. */
const unlessAway = async <T>(operation: string, ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (cause) {
    throw unavailable(operation, cause, troubleOf(cause));
  }
};

const unavailable = (operation: string, cause: unknown, trouble: Trouble | null): unknown =>
  trouble === null ? cause : new PostgresUnavailable(sentence(operation, trouble), { cause });

const sentence = (operation: string, { words }: Trouble): string => `cannot ${operation}: ${words}`;
