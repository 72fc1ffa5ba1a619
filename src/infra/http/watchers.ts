/**
 * Streams of events. Each gets the status at once and after each change; one that reads slowly skips what it is too late for and
 * gets the newest. Changes that come in a burst are gathered for a moment, the first one is not.
 */
import type { ServerResponse } from 'node:http';
import type { FleetStatus } from '../../actors/model/status.ts';
import type { Fleet } from '../../actors/ports/fleet.ts';
import { aliveMs, aliveText, encodeEvent, statusEvent } from '../../api/events.ts';
import { Refusal } from './refusal.ts';

const most = 100;
const gapMs = 25;
/** A stream that takes nothing for so many times `aliveMs` is closed. */
const patience = 30;

export class Watchers implements Disposable {
  readonly #fleet: Fleet;
  readonly #streams = new Set<Stream>();
  #subscription: Disposable | null = null;
  #alive: NodeJS.Timeout | null = null;
  #pending: { readonly timer: NodeJS.Timeout; status: FleetStatus } | null = null;
  #told = '';
  #toldAt = 0;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** Throws a Refusal when there are too many, before anything was written. */
  add(response: ServerResponse): void {
    if (this.#streams.size >= most)
      throw new Refusal(
        'too-many-watchers',
        `${most} streams of events are open on this unit: close one, or ask another unit`,
      );
    const stream = new Stream(response);
    this.#streams.add(stream);
    response.on('close', () => this.#remove(stream));
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    this.#subscription ??= this.#fleet.onStatus((status) => this.#changed(status));
    this.#alive ??= setInterval(() => this.#sayAlive(), aliveMs).unref();
    const status = this.#fleet.status();
    if (this.#streams.size === 1) this.#told = essence(status);
    stream.offer(textOf(status));
  }

  /** What was about to be told is told first: the last word of a unit that ends is that it has. */
  [Symbol.dispose](): void {
    const last = this.#pending?.status;
    if (last !== undefined) this.#tell(last);
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
    this.#rest();
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) this.#rest();
  }

  #rest(): void {
    this.#subscription?.[Symbol.dispose]();
    this.#subscription = null;
    if (this.#alive !== null) clearInterval(this.#alive);
    this.#alive = null;
    if (this.#pending !== null) clearTimeout(this.#pending.timer);
    this.#pending = null;
  }

  #changed(status: FleetStatus): void {
    if (this.#pending !== null) {
      this.#pending.status = status;
      return;
    }
    const early = gapMs - (performance.now() - this.#toldAt);
    if (early <= 0) {
      this.#tell(status);
      return;
    }
    const timer = setTimeout(() => {
      const newest = this.#pending?.status;
      this.#pending = null;
      if (newest !== undefined) this.#tell(newest);
    }, early);
    this.#pending = { timer, status };
  }

  #tell(status: FleetStatus): void {
    const now = essence(status);
    if (now === this.#told) return;
    this.#told = now;
    this.#toldAt = performance.now();
    const text = textOf(status);
    for (const stream of this.#streams) stream.offer(text);
  }

  #sayAlive(): void {
    for (const stream of this.#streams) stream.sayAlive();
  }
}

class Stream {
  readonly #response: ServerResponse;
  #isFull = false;
  #next: string | null = null;
  #missed = 0;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.on('drain', () => {
      this.#isFull = false;
      this.#missed = 0;
      const next = this.#next;
      this.#next = null;
      if (next !== null) this.offer(next);
    });
  }

  offer(text: string): void {
    if (this.#isFull) this.#next = text;
    else this.#isFull = !this.#response.write(text);
  }

  sayAlive(): void {
    if (!this.#isFull) this.#isFull = !this.#response.write(aliveText);
    else if (++this.#missed > patience) this.#response.destroy();
  }

  end(): void {
    this.#response.end();
  }
}

const textOf = (status: FleetStatus): string => encodeEvent({ event: statusEvent, data: JSON.stringify(status) });

/** What makes a change: the time that passes does not, and instants are counted back from it. */
const essence = (status: FleetStatus): string =>
  JSON.stringify(status, (key, value: unknown) => (key === 'lastSeenMs' || key === 'since' ? undefined : value));
