/**
 * When a dispatch need not look at everything: every input is as it was when a whole look, not long ago, found nothing to do. What the
 * actors decide follows from their inputs alone; so they would find nothing again. Inputs are what Juju answers to the very same
 * questions, what is in the container of the workload, what this process is told, and that PgBouncers and PostgreSQL answer. What is
 * in PostgreSQL, in Kubernetes and on the consoles is not asked: so a whole look is good for some minutes, and no longer.
 */
import type { Question } from '../infra/juju/tool-answers.ts';

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** What a whole look leaves when it has found nothing to do. No secrets are in it. */
export interface Settled {
  /** Wall-clock ms: of that look, and of the end of its word. */
  readonly at: number;
  readonly until: number;
  /** What the process was told. */
  readonly facts: string;
  /** Digest of the container, as it was before that look. */
  readonly container: string;
  /** All that Juju was asked, and a digest of what it answered. */
  readonly questions: readonly Question[];
  readonly answers: string;
  /** PostgreSQL servers. */
  readonly servers: readonly ServerAddress[];
}

/** How long what nobody asks about may be another than it was. */
export const longestMs = 600_000;

/** Before anybody is asked anything. */
export const mayStand = ({ at, until, facts }: Settled, seen: Pick<Seen, 'now' | 'facts'>): boolean =>
  seen.now >= at && seen.now < Math.min(until, at + longestMs) && seen.facts === facts;

export interface Seen {
  /** Wall-clock ms. */
  readonly now: number;
  readonly facts: string;
  /** Null: it cannot be seen. */
  readonly container: string | null;
  readonly answers: string;
  /** Every PgBouncer and every PostgreSQL answers. */
  readonly allAnswer: boolean;
}

export const isAsBefore = (settled: Settled, seen: Seen): boolean =>
  mayStand(settled, seen) && seen.container === settled.container && seen.answers === settled.answers && seen.allAnswer;

/** Null for what is no such note. Read without a library: it is read before anything is loaded. */
export const settledIn = (text: string | null): Settled | null => {
  const found = jsonOr(text ?? '');
  const { at, until, facts, container, questions, answers, servers } = found;
  return typeof at === 'number' &&
    typeof until === 'number' &&
    typeof facts === 'string' &&
    typeof container === 'string' &&
    typeof answers === 'string' &&
    Array.isArray(questions) &&
    questions.every(isQuestion) &&
    Array.isArray(servers) &&
    servers.every(isAddress)
    ? { at, until, facts, container, questions, answers, servers }
    : null;
};

const jsonOr = (text: string): Readonly<Record<string, unknown>> => {
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {};
  }
};

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

const isQuestion = (value: unknown): value is Question => {
  const { tool, args } = fieldsOf(value);
  return typeof tool === 'string' && Array.isArray(args) && args.every((arg) => typeof arg === 'string');
};

const isAddress = (value: unknown): value is ServerAddress => {
  const { host, port } = fieldsOf(value);
  return typeof host === 'string' && typeof port === 'number';
};
