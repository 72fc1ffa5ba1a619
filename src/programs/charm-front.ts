/**
 * What comes before a whole dispatch: a look whether everything is as it was when a whole one found nothing to do. It is a small part of
 * the program, loaded without the rest, and it changes nothing. Whatever is in doubt is for the whole dispatch, which takes over
 * what was asked here already.
 */
import { hostname, networkInterfaces } from 'node:os';
import { answersAt } from '../infra/instances/handshake.ts';
import type { Environment } from '../infra/juju/environment.ts';
import { keyQuestion } from '../infra/juju/fleet-key.ts';
import { type Answers, answerIn, answersTo, digestOf, type Question } from '../infra/juju/tool-answers.ts';
import { type RunTool, toolsOnPath } from '../infra/juju/tool-process.ts';
import { type Glance, glanceAt } from '../infra/pebble/glance.ts';
import { placeIn, toolMs } from './charm-place.ts';
import { isAsBefore, mayStand, type ServerAddress, type Settled, settledIn } from './charm-settled.ts';
import { textSigned } from './charm-signed.ts';

export interface FrontParts {
  readonly facts: string;
  /** Rejects when the container cannot be seen. */
  readonly glance: () => Promise<Glance>;
  readonly run: RunTool;
  /** Whether somebody takes connections there, and answers. */
  readonly answers: (address: ServerAddress) => Promise<boolean>;
  /** Wall-clock ms. */
  readonly now: () => number;
}

/** As things were before the whole dispatch. */
export interface Before {
  /** Nothing is left to do. */
  readonly isSettled: boolean;
  readonly at: number;
  readonly facts: string;
  /** Digest; null: it could not be seen. */
  readonly container: string | null;
  readonly answers: Answers;
}

export const lookBefore = async ({ facts, glance, run, answers, now }: FrontParts): Promise<Before> => {
  const at = now();
  // The key is needed by a whole dispatch too: it is asked for while Pebble answers.
  const [found, key] = await Promise.all([glance().catch(() => null), answersTo([keyQuestion], run)]);
  const before: Before = { isSettled: false, at, facts, container: null, answers: key };
  if (found === null) return before;
  try {
    const settled = standing(textSigned(found.note ?? '', key), before);
    const [container, heard, servers] = await Promise.all([
      consoles(found, settled === null ? null : answers),
      answersAfter(key, settled?.questions ?? [], run),
      settled === null ? false : every(settled.servers, answers),
    ]);
    const seen = { ...before, container: container?.digest ?? null, answers: heard };
    const allAnswer = servers && container?.allAnswer === true;
    const isSettled =
      settled !== null && isAsBefore(settled, { ...seen, now: now(), answers: digestOf(heard), allAnswer });
    return { ...seen, isSettled };
  } finally {
    found.close();
  }
};

const standing = (text: string | null, { at: now, facts }: Before): Settled | null => {
  const settled = settledIn(text);
  return settled !== null && mayStand(settled, { now, facts }) ? settled : null;
};

const answersAfter = async (known: Answers, questions: readonly Question[], run: RunTool): Promise<Answers> => {
  const open = questions.filter((question) => answerIn(known, question) === null);
  return new Map([...known, ...(await answersTo(open, run))]);
};

const consoles = async (glance: Glance, answers: FrontParts['answers'] | null) => {
  const whole = await glance.whole().catch(() => null);
  if (whole === null) return null;
  return { digest: whole.digest, allAnswer: answers !== null && (await every(whole.consoles, answers)) };
};

const every = async (
  addresses: readonly ServerAddress[],
  answers: (address: ServerAddress) => Promise<boolean>,
): Promise<boolean> => (await Promise.all(addresses.map(answers))).every(Boolean);

/** Longer than any of them takes, and so short that a word about leadership is not old when it is acted upon. */
const answerMs = 1_000;

/** `build`: names the program, by what is in it. Null when this dispatch is about something: then there is something to do. */
export const lookAhead = async (environment: Environment, build: string): Promise<Before | null> => {
  if (!looks.has(environment['JUJU_DISPATCH_PATH'] ?? '')) return null;
  const place = placeIn(environment);
  return lookBefore({
    facts: factsOf(environment, build, place.instances),
    glance: () => glanceAt(place, answerMs),
    run: toolsOnPath(environment, toolMs),
    answers: ({ host, port }) => answersAt(host, port, answerMs),
    now: Date.now,
  });
};

/** Options that have changed are among what is asked; Juju says so too where none has, as when its agent was started again. */
const looks: ReadonlySet<string> = new Set(['hooks/update-status', 'hooks/config-changed']);

/** All that a dispatch goes by besides what it asks: no secrets. */
const factsOf = (environment: Environment, build: string, instances: number): string => {
  const told = Object.keys(environment).filter((name) => toldIn.has(name) || name.startsWith('TROUPE_'));
  const addresses = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const words = told.toSorted().map((name) => [name, environment[name]]);
  return JSON.stringify([build, instances, hostname(), addresses.toSorted(), words]);
};

const toldIn: ReadonlySet<string> = new Set([
  'CHARM_DIR',
  'JUJU_CHARM_DIR',
  'JUJU_MODEL_NAME',
  'JUJU_MODEL_UUID',
  'JUJU_UNIT_NAME',
  'JUJU_VERSION',
  'KUBERNETES_SERVICE_HOST',
  'KUBERNETES_SERVICE_PORT',
  'PATH',
]);
