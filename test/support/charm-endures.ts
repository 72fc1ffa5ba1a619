/**
 * A life of the charm, act by act, in which hooks are run again from where they began for places where they could have failed: a hook
 * fails there, is tried again until it has succeeded, and what then differs from what it comes to without the failure must not differ
 * any more when the act is over.
 */
import { endStateOf } from './charm-end-state.ts';
import { application, CharmFleet } from './charm-fleet.ts';
import { countedCredentials } from './counted-credentials.ts';
import { createHurriedClock } from './hurried-clock.ts';
import type { Charm } from './juju/charm.ts';
import type { RanHook } from './juju/hook-record.ts';

/**
 * `before` and `after`: one call of a hook tool fails, without its effect or with it. `dies`: the dispatch is gone from that call on.
 * `effect`: it is gone when it has done something to PostgreSQL or PgBouncers, and has not heard of it.
 */
const failures = ['before', 'after', 'dies', 'effect'] as const;
type Failure = (typeof failures)[number];

interface Place {
  readonly failure: Failure;
  /** From 0: among the calls or the effects of its hook. */
  readonly at: number;
}

/** Where it failed, and what came of that instead. */
export interface Difference {
  readonly place: string;
  readonly expected: unknown;
  readonly found: unknown;
}

/** Every so many of the places, the other units go on before the hook is tried again, as Juju has it. */
const inTurn = 16;

/** What the dispatch that runs does, and where it is to fail. */
class Dispatch {
  /** Tools that were called, and steps that were taken. */
  readonly calls: string[] = [];
  readonly effects: string[] = [];
  /** The call that failed. */
  failed = '';
  readonly #place: Place | null;
  #isGone = false;

  constructor(place: Place | null) {
    this.#place = place;
  }

  fails(tool: string, args: readonly string[]): 'before' | 'after' | null {
    if (this.#isGone) return tool === 'juju-log' ? null : 'before'; // Its last words would go to the output of the test.
    this.calls.push(tool);
    const failure = this.#place?.at === this.calls.length - 1 ? this.#place.failure : 'effect';
    if (failure === 'effect') return null;
    this.failed = `${tool} ${args.join(' ')}`;
    this.#isGone = failure === 'dies';
    return failure === 'after' ? 'after' : 'before';
  }

  effectBegins(): void {
    if (this.#isGone) throw new Error('this dispatch is gone');
  }

  effectDone(step: string): void {
    this.effects.push(step);
    if (this.#place?.failure === 'effect' && this.#place.at === this.effects.length - 1) {
      this.failed = step;
      this.#isGone = true;
    }
    this.effectBegins();
  }
}

export class Endurance implements AsyncDisposable {
  readonly fleet: CharmFleet;
  readonly differences: Difference[] = [];
  /** Hooks that ran, places in them, those that were tried, and of these what came to the same only when the act was over. */
  readonly count = { hooks: 0, places: 0, before: 0, after: 0, dies: 0, effect: 0, later: 0 };
  /** What has failed how, of tools and of steps: the first place of each kind is always tried. */
  readonly kinds = new Set<string>();
  readonly #isTried: (place: number) => boolean;
  #dispatch = new Dispatch(null);
  /** Of this act: what is to be looked at when it is over. */
  #suspects: { readonly place: string; readonly comesTo: () => Promise<unknown> }[] = [];

  private constructor(isTried: (place: number) => boolean, fleet: CharmFleet) {
    this.fleet = fleet;
    this.#isTried = isTried;
  }

  /** `isTried`: whether a place is, by its number in the whole life. `before`: the charm that is there until a refresh. */
  static async open(
    seed: number,
    units: number,
    isTried: (place: number) => boolean,
    before?: Charm,
  ): Promise<Endurance> {
    let dispatch = (): Dispatch | null => null;
    const fleet = await CharmFleet.open(seed, units, {
      clock: createHurriedClock(5_000),
      credentials: countedCredentials(),
      effectBegins: () => dispatch()?.effectBegins(),
      effectDone: (step) => dispatch()?.effectDone(step),
      ...(before === undefined ? {} : { before }),
    });
    fleet.juju.faultAt = ({ unit, tool, args }) =>
      unit.startsWith(`${application}/`) ? (dispatch()?.fails(tool, args) ?? null) : null;
    const life = new Endurance(isTried, fleet);
    dispatch = () => life.#dispatch;
    return life;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
  }

  get tried(): number {
    return failures.reduce((sum, failure) => sum + this.count[failure], 0);
  }

  /** What the operator does, and every hook that comes of it. */
  async act(does: () => void): Promise<void> {
    const { juju } = this.fleet;
    does();
    await this.#toRest();
    if (juju.applications.has(application)) juju.updateStatus(application);
    await this.#toRest();
    const [expected, restore] = [endStateOf(this.fleet), this.fleet.keep()];
    for (const { place, comesTo } of this.#suspects) {
      const found = await comesTo();
      if (JSON.stringify(found) === JSON.stringify(expected)) this.count.later += 1;
      else this.differences.push({ place, expected, found });
    }
    this.#suspects = [];
    restore();
  }

  async #toRest(): Promise<void> {
    for (;;) {
      const before = this.fleet.keep();
      const ran = await this.#run(null, () => this.fleet.juju.step());
      if (ran === null) return;
      if (!ran.unit.startsWith(`${application}/`) || ran.hook.startsWith('action:')) continue;
      this.count.hooks += 1;
      const places = this.#placesIn(this.#dispatch);
      if (places.length === 0) continue;
      const [expected, after] = [JSON.stringify(endStateOf(this.fleet)), this.fleet.keep()];
      for (const place of places) {
        before();
        await this.#try(place, ran, expected);
      }
      after();
    }
  }

  async #try(place: Place, { unit, hook }: RanHook, expected: string): Promise<void> {
    const failed = await this.#run(place, () => this.fleet.juju.step());
    if (failed?.unit !== unit || failed.hook !== hook)
      throw new Error(`${unit} ${hook} was to fail, and ${failed?.unit} ${failed?.hook} ran`);
    const where = `${unit} ${hook}, ${place.failure} at ${place.at}: ${this.#dispatch.failed}`;
    this.count[place.failure] += 1;
    if (this.tried % inTurn === 0) {
      const found = await this.#restOfTheAct();
      this.#suspects.push({ place: where, comesTo: async () => found });
      return;
    }
    while (this.#hasFailed(unit)) await this.#run(null, () => this.fleet.juju.stepOf(unit));
    if (JSON.stringify(endStateOf(this.fleet)) === expected) return;
    const restore = this.fleet.keep();
    this.#suspects.push({
      place: where,
      comesTo: () => {
        restore();
        return this.#restOfTheAct();
      },
    });
  }

  async #restOfTheAct(): Promise<unknown> {
    this.#dispatch = new Dispatch(null);
    await this.fleet.settle();
    return endStateOf(this.fleet);
  }

  #hasFailed(unit: string): boolean {
    const { juju } = this.fleet;
    const isThere = juju.applications.has(application) && juju.unitsOf(application).includes(unit);
    return isThere && juju.unit(unit).failed !== null;
  }

  /** Those of one hook that are to be tried. */
  #placesIn({ calls, effects }: Dispatch): readonly Place[] {
    const places = failures.flatMap((failure) =>
      (failure === 'effect' ? effects : calls).map((what, at) => ({ failure, at, kind: `${failure} ${what}` })),
    );
    const from = this.count.places;
    this.count.places += places.length;
    return places.filter(({ kind }, index) => {
      const isNew = !this.kinds.has(kind);
      if (isNew || this.#isTried(from + index)) this.kinds.add(kind);
      return isNew || this.#isTried(from + index);
    });
  }

  async #run(place: Place | null, run: () => Promise<RanHook | null>): Promise<RanHook | null> {
    this.#dispatch = new Dispatch(place);
    return await run();
  }
}
