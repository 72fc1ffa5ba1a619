/** The pure store is the model of the scripts: whatever units do, in whatever order, both give the same answers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Epoch, Generation, Millis, RelationId } from '../../src/actors/model/ids.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { same } from '../../src/actors/model/same.ts';
import type { Snapshot } from '../../src/actors/model/snapshot.ts';
import { bagOf, intentOf, recordOf, specOf } from '../support/builders.ts';
import { redisServers, useServer } from '../support/servers.ts';
import { type Fleet, memoryFleet, redisFleet, ttl, type UnitBackplane } from './backplane-fleets.ts';

const units = 3;
const unit = fc.nat({ max: units - 1 });
const term = fc.nat({ max: 2 });
const small = fc.nat({ max: 2 });

type Deed =
  | { readonly type: 'pass' }
  | { readonly type: 'restart'; readonly by: number }
  | { readonly type: 'observe' | 'acquire'; readonly by: number }
  | { readonly type: 'renew'; readonly by: number; readonly term: number }
  | { readonly type: 'release'; readonly by: number; readonly term: number; readonly to: number | null }
  | { readonly type: 'intent'; readonly by: number; readonly version: number; readonly variant: number }
  | {
      readonly type: 'publish';
      readonly by: number;
      readonly term: number;
      readonly after: number;
      readonly variant: number;
    }
  | { readonly type: 'judge'; readonly by: number; readonly term: number; readonly variant: number }
  | {
      readonly type: 'relate' | 'unrelate';
      readonly by: number;
      readonly term: number;
      readonly id: number;
      readonly variant: number;
    }
  | { readonly type: 'remove'; readonly by: number; readonly term: number; readonly unit: number }
  | { readonly type: 'bag'; readonly by: number; readonly variant: number }
  | { readonly type: 'leave'; readonly by: number; readonly how: 'down' | 'departed' };

const is = <T extends string>(type: T) => fc.constant(type);
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: is('pass') }) },
  { weight: 2, arbitrary: fc.record({ type: is('restart'), by: unit }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constantFrom('observe' as const, 'acquire' as const), by: unit }) },
  { weight: 2, arbitrary: fc.record({ type: is('renew'), by: unit, term }) },
  { weight: 2, arbitrary: fc.record({ type: is('release'), by: unit, term, to: fc.option(unit) }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: is('intent'), by: unit, version: fc.integer({ min: 1, max: 4 }), variant: small }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: is('publish'), by: unit, term, after: fc.nat({ max: 3 }), variant: small }),
  },
  { weight: 3, arbitrary: fc.record({ type: is('judge'), by: unit, term, variant: small }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constantFrom('relate' as const, 'unrelate' as const),
      by: unit,
      term,
      id: small,
      variant: small,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: is('remove'), by: unit, term, unit }) },
  { weight: 3, arbitrary: fc.record({ type: is('bag'), by: unit, variant: small }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: is('leave'), by: unit, how: fc.constantFrom('down' as const, 'departed' as const) }),
  },
);

/** One fleet as a history sees it: its processes, and the leaderships that were ever granted. */
class Stage {
  readonly #fleet: Fleet;
  readonly #processes = new Map<number, UnitBackplane>();
  /** In the order of grants; histories name a term by its distance from the newest. */
  readonly #leaderships: Leadership[] = [];

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  async does(deed: Deed): Promise<unknown> {
    if (deed.type === 'pass') return this.#fleet.pass(21_000); // Never near to the end of a lease or a silence.
    if (deed.type === 'restart') {
      this.#processes.set(deed.by, await this.#fleet.start(deed.by));
      return null;
    }
    const process = this.#processes.get(deed.by) ?? (await this.#fleet.start(deed.by));
    this.#processes.set(deed.by, process);
    return this.#ask(process, deed);
  }

  async #ask(process: UnitBackplane, deed: Exclude<Deed, { readonly type: 'pass' | 'restart' }>): Promise<unknown> {
    switch (deed.type) {
      case 'observe': {
        const seen = await process.observe();
        return seen.kind === 'observed' ? this.#comparable(seen.snapshot) : seen.kind;
      }
      case 'acquire': {
        const result = await process.acquireLease(ttl);
        if (result.kind === 'granted') {
          const { nonce, unit: holder } = process;
          this.#leaderships.push({ epoch: result.epoch, nonce, holder, until: 0 });
        }
        return result.kind === 'granted' ? result : [result.kind, this.#number(result.by), result.freeInMs > 0];
      }
      case 'renew':
        return process.renewLease(this.#term(deed.term), ttl);
      case 'release':
        return process.releaseLease(
          this.#term(deed.term),
          deed.to === null ? null : this.#unit(deed.to),
          30_000 as Millis,
        );
      case 'intent':
        return process.changeIntent(intentOf({ version: deed.version, reason: `variant ${deed.variant}` }));
      case 'publish': {
        const spec = specOf({ options: { listen_port: deed.variant } });
        const result = await process.publish(this.#term(deed.term), deed.after as Generation, spec, {
          intentVersion: 1,
          reason: '',
        });
        return result.kind === 'committed'
          ? [result.kind, result.published.generation, result.published.epoch, result.published.digest]
          : result;
      }
      case 'judge':
        return process.judge(this.#term(deed.term), { covers: deed.variant, good: null, refused: null });
      case 'relate':
        return process.writeRelation(
          this.#term(deed.term),
          recordOf({ id: deed.id as RelationId, name: `variant ${deed.variant}` }),
        );
      case 'unrelate':
        return process.removeRelation(this.#term(deed.term), deed.id as RelationId);
      case 'remove':
        return process.removeUnit(this.#term(deed.term), this.#unit(deed.unit));
      case 'bag':
        return process.writeBag(bagOf({ pid: deed.variant }));
      case 'leave':
        return process.leave(deed.how);
    }
  }

  #term(back: number): Leadership {
    const nobody = { epoch: 0 as Epoch, nonce: 'aa' as never, holder: this.#unit(0), until: 0 };
    return this.#leaderships.at(-1 - back) ?? nobody;
  }
  #unit(number: number): UnitBackplane['unit'] {
    return `${this.#fleet.application}/${number}` as UnitBackplane['unit'];
  }
  #number(unit: string): string {
    return unit.slice(unit.lastIndexOf('/') + 1);
  }
  #comparable({ lease, units, published, ...rest }: Snapshot): unknown {
    return {
      ...rest,
      lease: [lease.holder === null ? null : this.#number(lease.holder), lease.epoch, lease.freeInMs > 0],
      published: published === null ? null : [published.generation, published.epoch, published.digest],
      units: units.map(({ unit, presence, instances, bag }) => [this.#number(unit), presence, instances, bag]),
    };
  }
}

describe.each(redisServers())('histories on %s', (_, start) => {
  const server = useServer(start);

  it('have the same answers as in the pure store', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { minLength: 10, maxLength: 60, size: 'max' }), async (history) => {
        const [memory, redis] = [await memoryFleet(), await redisFleet(server())];
        const [model, real] = [new Stage(memory), new Stage(redis)];
        try {
          // Somebody has been there: an empty store is a matter of Redis alone.
          for (const stage of [model, real]) await stage.does({ type: 'observe', by: units });
          for (const [at, next] of history.entries()) {
            const [expected, found] = [await model.does(next), await real.does(next)];
            const agree = same(found, expected);
            if (!agree) expect(found, `step ${at}: ${JSON.stringify(next)}`).toEqual(expected);
            expect(agree, `step ${at}: ${JSON.stringify(next)}`).toBe(true);
          }
        } finally {
          await redis.end();
        }
      }),
      { numRuns: 25, endOnFailure: false },
    );
  });
});
