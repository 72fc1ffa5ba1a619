import type { z } from 'zod';
import type { probeSchema } from '../../api/status.ts';
import type { Fleet } from '../../actors/ports/fleet.ts';

type Probe = Readonly<z.infer<typeof probeSchema>>;

/** What load balancers and supervisors ask, by name of the route. */
export const probesOf = (
  fleet: Fleet,
): Readonly<Record<'health' | 'liveness' | 'readiness' | 'leader', () => Probe>> => {
  const answer = (ok: boolean, reason: string): Probe => {
    const own = ownUnitOf(fleet);
    return { ok, unit: own.name, status: own.unit?.status ?? 'unknown', reason };
  };
  return {
    liveness: () => answer(true, ''),
    /** Not told by the store: PgBouncers that serve while it is away are healthy. */
    health: () => {
      const { unit } = ownUnitOf(fleet);
      const serves = unit?.instances.some(({ state }) => state === 'serving') ?? false;
      return serves ? answer(true, '') : answer(false, unit?.message || 'no instance serves');
    },
    readiness: () => {
      const { ready, reason } = fleet.ready();
      return answer(ready, reason);
    },
    leader: () => {
      const { leader, answeredBy } = fleet.status();
      const leads = leader?.unit === answeredBy;
      return answer(leads, leads ? '' : leader === null ? 'nobody leads' : `${leader.unit} leads`);
    },
  };
};

const ownUnitOf = (fleet: Fleet) => {
  const { answeredBy, units } = fleet.status();
  return { name: answeredBy, unit: units.find(({ unit }) => unit === answeredBy) };
};
