/**
 * A dispatch that finds everything as it was ends before the actors are asked. Here they are asked all the same, in lives in which one
 * thing after another changes: they must find nothing to do either. And what makes one look at everything is what it must be.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/actors/kit/random.ts';
import { authority, first } from '../support/certificates.ts';
import { application, CharmFleet, type CharmFleetOptions } from '../support/charm-fleet.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';

type BlindTo = NonNullable<CharmFleetOptions['front']>['blindTo'];

const longestMs = 300_000;

const units = (fleet: CharmFleet): readonly string[] =>
  fleet.juju.applications.has(application) ? fleet.juju.unitsOf(application) : [];

/** Now and then between hooks the timer of a unit rings; when all have run, for all of them, and their agents are as if new. */
const toRest = async (fleet: CharmFleet, random: Random): Promise<void> => {
  for (let step = 0; step < 400; step += 1) {
    const [unit] = random.below(4) === 0 ? units(fleet).slice(random.below(units(fleet).length + 1)) : [];
    if (unit !== undefined) fleet.juju.updateStatus(unit);
    if ((await fleet.juju.step()) === null) break;
  }
  for (let round = 0; round < 4 && units(fleet).length > 0; round += 1) {
    if (round % 2 === 0) fleet.juju.updateStatus(application);
    else for (const one of units(fleet)) await fleet.juju.dispatch(one, 'config-changed');
    await fleet.juju.settle();
  }
};

const live = async (seed: number, blindTo: BlindTo): Promise<CharmFleet['ends']> => {
  await using fleet = await CharmFleet.open(seed, 2, { clock: createHurriedClock(5_000), front: { blindTo } });
  const { juju, machine } = fleet;
  const random = new Random(seed);
  const related = { reports: 0, certificates: 0 };
  const acts: readonly (() => void)[] = [
    () => void fleet.relateBackend(),
    () => void fleet.relateClient('orders'),
    () => void (related.reports = fleet.relateClient('reports')),
    () => juju.configure(application, { pool_mode: 'transaction' }),
    () => void fleet.relateLegacy('legacy', 'db', 'older'),
    () => {
      const process = machine.processOf(fleet.unitName(0), 1);
      if (process !== null) machine.end(process);
    },
    () => void machine.diskOf(fleet.unitName(0)).inis.set(1, '[pgbouncer]\n'),
    () => void (related.certificates = fleet.relateAuthority(first.certificate, authority)),
    () => juju.scale(application, 3),
    () => juju.moveLeadership(application, fleet.unitName(1)),
    () => fleet.containerGoes(1),
    () => fleet.containerComes(1),
    () => {
      fleet.postgres.away = 'it is stopped';
    },
    () => {
      fleet.postgres.away = null;
    },
    () => fleet.later(700_000),
    () => fleet.refresh(),
    () => juju.removeRelation(related.reports),
    () => juju.removeRelation(related.certificates),
    () => juju.scale(application, 1),
    () => juju.removeApplication(application),
  ];
  for (const act of acts) {
    act();
    await toRest(fleet, random);
  }
  return fleet.ends;
};

describe('a dispatch that finds everything as it was', () => {
  it.each([1, 2, 3])(
    'would have had nothing to do (seed %i)',
    async (seed) => {
      const { early, wrongly } = await live(seed, 'nothing');
      expect(wrongly).toEqual([]);
      expect(early).toBeGreaterThan(40);
    },
    longestMs,
  );

  const changed: Readonly<Record<'juju' | 'container', (fleet: CharmFleet, unit: string) => void>> = {
    // As if another dispatch had set a status of its own.
    juju: ({ juju }, unit) => {
      const { status: _, ...state } = juju.unit(unit).state;
      juju.unit(unit).state = state;
    },
    container: ({ machine }, unit) => void machine.diskOf(unit).inis.set(1, '[pgbouncer]\n'),
  };

  it('may be told of options each time, and none has changed', async () => {
    await using fleet = await CharmFleet.open(1, 2, { front: { blindTo: 'nothing' } });
    const { juju, ends } = fleet;
    fleet.relateBackend();
    fleet.relateClient('orders');
    await fleet.settle();
    const told = async (): Promise<void> => {
      for (const unit of units(fleet)) await juju.dispatch(unit, 'config-changed');
      await juju.settle();
    };
    for (let round = 0; round < 2; round += 1) await told();
    const { early } = ends;
    await told();
    expect([ends.early - early, ends.wrongly]).toEqual([2, []]);
    juju.configure(application, { pool_mode: 'transaction' });
    await juju.settle();
    expect([ends.early - early, ends.wrongly]).toEqual([2, []]);
  });

  it.each(['juju', 'container'] as const)('is one that looked at %s', async (what) => {
    for (const blindTo of ['nothing', what] as const) {
      await using fleet = await CharmFleet.open(1, 1, { front: { blindTo } });
      const { juju, ends } = fleet;
      const ring = async (): Promise<void> => {
        juju.updateStatus(application);
        await juju.settle();
      };
      fleet.relateBackend();
      fleet.relateClient('orders');
      await fleet.settle();
      for (let round = 0; round < 3; round += 1) await ring();
      const { early } = ends;
      expect(early).toBeGreaterThan(0);
      changed[what](fleet, fleet.unitName(0));
      await ring();
      const isSeen = blindTo === 'nothing';
      expect([ends.early - early, ends.wrongly.length]).toEqual(isSeen ? [0, 0] : [1, 1]);
    }
  });
});
