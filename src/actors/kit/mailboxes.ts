import type { Message, Name } from './behaviour.ts';
import type { Random } from './random.ts';

/**
 * Which message is handled next. `turns`: actor by actor as nact does it, nothing left to chance. `mailboxes`: any actor, and each
 * in the order its messages were sent: every schedule that production could show. `senders`: only what one sender sends to one
 * receiver keeps its order: more than production can do.
 */
export type Order = 'turns' | 'mailboxes' | 'senders';

interface Mail {
  readonly from: unknown;
  readonly message: Message;
}

/** The mailboxes of one simulated process. */
export class Mailboxes {
  readonly #order: Order;
  readonly #random: Random;
  /** Of an actor that has stopped there is none. */
  readonly #mail: Map<Name, Mail[]>;
  /** Actors that have mail, first in line first. */
  readonly #line: Name[] = [];
  #busy: Name | undefined;

  constructor(names: readonly Name[], order: Order, random: Random) {
    this.#mail = new Map(names.map((name) => [name, []]));
    this.#order = order;
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#line.length === 0;
  }

  get size(): number {
    return this.#mail.values().reduce((sum, mail) => sum + mail.length, 0);
  }

  put(from: unknown, to: Name, message: Message): void {
    const mail = this.#mail.get(to);
    mail?.push({ from, message });
    if (mail?.length === 1 && to !== this.#busy) this.#line.push(to);
  }

  /** Hands one message over; afterwards that actor stands at the end of the line, behind those it told. */
  handOver(handle: (name: Name, message: Message) => void): void {
    const [name] = this.#line.splice(this.#order === 'turns' ? 0 : this.#random.below(this.#line.length), 1);
    if (name === undefined) return;
    this.#busy = name;
    for (const { message } of this.#next(this.#mail.get(name) ?? [])) handle(name, message);
    this.#busy = undefined;
    if (this.#mail.get(name)?.length) this.#line.push(name);
  }

  close(name: Name): void {
    this.#mail.delete(name);
    const index = this.#line.indexOf(name);
    if (index >= 0) this.#line.splice(index, 1);
  }

  #next(mail: Mail[]): readonly Mail[] {
    if (this.#order !== 'senders') return mail.splice(0, 1);
    const sender = this.#random.pick(mail)?.from;
    return mail.splice(
      mail.findIndex(({ from }) => from === sender),
      1,
    );
  }
}
