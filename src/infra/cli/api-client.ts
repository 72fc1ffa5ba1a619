import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import type { Change, ChangeOutcome, Compared, FleetChange } from '../../actors/model/change.ts';
import type { ClientConnection, FleetStatus, OptionsView } from '../../actors/model/status.ts';
import type { CredentialsAnswer } from '../../actors/ports/fleet.ts';
import { changeAnswerSchema, comparisonSchema } from '../../api/change.ts';
import { aliveMs, createEventReader, statusEvent } from '../../api/events.ts';
import { pathOf, routes } from '../../api/routes.ts';
import { fleetStatusSchema } from '../../api/status.ts';
import { type Read, readAnswer, readText } from './answer.ts';
import { ApiRefusal } from './api-refusal.ts';
import { type About, comparisonFor, type Failed, outcomeOf, requestFor } from './change-request.ts';
import { CliFailure, exit } from './exit.ts';
import { type Place, socketAt } from './place.ts';
import { answerMs, ask, begin, bodyOf, NoAnswer, type ApiRequest } from './api-request.ts';
import type { Find } from './find-unit.ts';

/** Asks the unit whose socket this is. Methods reject while it does not answer. */
export const apiAt = (socket: string): ApiClient => new ApiClient(() => Promise.resolve(socketAt(socket)));

const shortestPauseMs = 50;
const longestPauseMs = 1_000;

export class ApiClient {
  readonly #find: Find;
  readonly #silenceMs: number;
  #place: Place | null = null;

  /** A stream of events that is silent for `silenceMs` is dead, whatever the kernel says. */
  constructor(find: Find, { silenceMs = 3 * aliveMs }: { readonly silenceMs?: number } = {}) {
    this.#find = find;
    this.#silenceMs = silenceMs;
  }

  /** Where it asks; null before it was looked for. */
  get place(): Place | null {
    return this.#place;
  }

  async status(signal: AbortSignal): Promise<FleetStatus> {
    return (await this.readStatus(signal)).value;
  }

  readStatus(signal: AbortSignal): Promise<Read<FleetStatus>> {
    return this.#read(routes.status.answer.schema, pathOf('status'), signal);
  }

  readOptions(signal: AbortSignal): Promise<Read<OptionsView>> {
    return this.#read(routes.options.answer.schema, pathOf('options'), signal);
  }

  readUnit(
    number: number,
    and: readonly ('trace' | 'pools')[],
    signal: AbortSignal,
  ): Promise<Read<z.output<typeof routes.unit.answer.schema>>> {
    return this.#read(
      routes.unit.answer.schema,
      `${pathOf('unit', { number })}${and.length === 0 ? '' : `?${and.join('&')}`}`,
      signal,
    );
  }

  async connections(signal: AbortSignal): Promise<readonly ClientConnection[]> {
    return (await this.#read(routes.clients.answer.schema, pathOf('clients'), signal)).value;
  }

  async credentials(client: string, signal: AbortSignal): Promise<CredentialsAnswer> {
    try {
      const path = pathOf('credentials', { name: client });
      const { value } = await this.#read(routes.credentials.answer.schema, path, signal);
      return { kind: 'told', value };
    } catch (cause) {
      if (!(cause instanceof ApiRefusal)) throw cause;
      if (cause.error.code === 'not-yet') return { kind: 'notYet', reason: cause.message };
      if (cause.error.code === 'unknown-client') return { kind: 'unknownClient', clients: cause.error.known ?? [] };
      throw cause;
    }
  }

  /** Asked once: when no answer comes nobody knows whether the change was kept, and the outcome says so. */
  async change(change: Change, signal: AbortSignal, about?: About): Promise<ChangeOutcome> {
    try {
      const { value } = await this.#ask(changeAnswerSchema, requestFor(change, about), signal);
      return { kind: value.outcome, version: value.version };
    } catch (cause) {
      if (cause instanceof NoAnswer && cause.arrived)
        return {
          kind: 'unavailable',
          reason: `nobody knows whether the change was kept (${cause.message}): look at it, then ask again`,
        };
      return outcomeIn(cause);
    }
  }

  /** What a fleet file would change. */
  async compare(change: FleetChange, signal: AbortSignal): Promise<ComparedOutcome> {
    try {
      const { value } = await this.#ask(comparisonSchema, comparisonFor(change), signal);
      return { kind: 'compared', ...value };
    } catch (cause) {
      return outcomeIn(cause);
    }
  }

  /** The status now and after each change, over as many connections as it takes. `onAway` hears why one was lost. */
  async *statuses(signal: AbortSignal, onAway: (reason: string) => void): AsyncGenerator<FleetStatus> {
    for await (const { value } of this.readStatuses(signal, onAway)) yield value;
  }

  async *readStatuses(signal: AbortSignal, onAway: (reason: string) => void): AsyncGenerator<Read<FleetStatus>> {
    let pauseMs = shortestPauseMs;
    let wasAnswered = false;
    while (!signal.aborted) {
      try {
        for await (const status of this.#stream(signal)) {
          pauseMs = shortestPauseMs;
          wasAnswered = true;
          yield status;
        }
      } catch (cause) {
        if (signal.aborted) return;
        if (!isPassing(cause, wasAnswered)) throw cause;
        onAway(cause.message);
      }
      this.#place = null;
      await delay(pauseMs, undefined, { signal }).catch(() => {}); // Then the loop ends.
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  /** Until it breaks, which it always does with an error. */
  async *#stream(signal: AbortSignal): AsyncGenerator<Read<FleetStatus>> {
    const over = new AbortController();
    const silence = setTimeout(() => over.abort(new Error('it is silent')), this.#silenceMs);
    try {
      const place = await this.#reach(signal);
      const either = AbortSignal.any([signal, over.signal]);
      const response = await begin(place, { method: 'get', path: pathOf('events') }, either);
      const status = response.statusCode ?? 0;
      if (status !== 200) readAnswer(place, fleetStatusSchema, { status, text: await bodyOf(response) });
      const read = createEventReader();
      try {
        for await (const chunk of response.setEncoding('utf8')) {
          silence.refresh();
          for (const { event, data } of read(String(chunk)))
            if (event === statusEvent) yield readText(place, fleetStatusSchema, data);
        }
      } catch (cause) {
        throw cause instanceof CliFailure ? cause : new NoAnswer(place, true, either.aborted ? either.reason : cause);
      }
      throw new NoAnswer(place, true, 'it ended the stream');
    } finally {
      clearTimeout(silence);
      over.abort();
    }
  }

  async #reach(signal: AbortSignal): Promise<Place> {
    this.#place ??= await this.#find(signal);
    return this.#place;
  }

  /** A question may be repeated: when the unit is lost another one is asked, once. */
  async #read<S extends z.ZodType>(schema: S, path: string, signal: AbortSignal): Promise<Read<z.output<S>>> {
    try {
      return await this.#ask(schema, { method: 'get', path }, signal);
    } catch (cause) {
      if (!(cause instanceof NoAnswer) || signal.aborted) throw cause;
      this.#place = null;
      return await this.#ask(schema, { method: 'get', path }, signal);
    }
  }

  async #ask<S extends z.ZodType>(schema: S, asked: ApiRequest, signal: AbortSignal): Promise<Read<z.output<S>>> {
    const place = await this.#reach(signal);
    return readAnswer(place, schema, await ask(place, asked, AbortSignal.any([signal, AbortSignal.timeout(answerMs)])));
  }
}

type ComparedOutcome = Compared | Failed;

/** What a refusal says of a change; what says nothing of it is thrown on. */
const outcomeIn = (cause: unknown): Failed => {
  const outcome = cause instanceof ApiRefusal ? outcomeOf(cause) : null;
  if (outcome === null) throw cause;
  return outcome;
};

/** What another connection may mend. Before the first answer only silence is: everything else is told at once. */
const isPassing = (cause: unknown, wasAnswered: boolean): cause is Error =>
  cause instanceof NoAnswer ||
  (wasAnswered &&
    ((cause instanceof ApiRefusal && !isAboutToken(cause)) ||
      (cause instanceof CliFailure && cause.exit === exit.unreachable)));

const isAboutToken = ({ error }: ApiRefusal): boolean => error.code === 'unauthorized' || error.code === 'forbidden';
