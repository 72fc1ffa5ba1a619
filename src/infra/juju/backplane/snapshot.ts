/** A desk as actors are shown it: with all that this dispatch has written so far. */
import { type UnitName, unitNumberOf } from '../../../actors/model/ids.ts';
import type { DamagedObject, Snapshot, UnitRecord } from '../../../actors/model/snapshot.ts';
import type { Desk } from './desk.ts';
import { leaseSeen } from './lease.ts';

export const snapshotOf = (desk: Desk, self: UnitName): Snapshot => {
  const { now, others, member, bag } = desk;
  const { nonce } = member;
  const own: UnitRecord = {
    unit: self,
    instances: member.instances,
    nonce,
    silentMs: 0,
    presence: member.down ? 'down' : 'live',
    bag,
  };
  const units = [
    own,
    ...[...others].flatMap(([unit, data]): readonly UnitRecord[] =>
      data.member === null
        ? [] // It has not run yet, or is still the ancestor's.
        : [
            {
              unit,
              instances: data.member.instances,
              nonce: data.member.nonce,
              silentMs: 0,
              presence: data.member.down ? 'down' : 'live',
              bag: data.bag,
            },
          ],
    ),
  ].toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit));
  const damagedBags = [
    [self, desk.bagDamage] as const,
    ...[...others].map(([unit, { damage }]) => [unit, damage] as const),
  ];
  return {
    lease: leaseSeen(
      now.lease,
      { unit: self, nonce, leads: desk.leads },
      new Map(units.map((one) => [one.unit, one.nonce])),
    ),
    intent: now.intent,
    published: now.published ?? desk.provisional?.published ?? null,
    verdict: now.verdict,
    units,
    relations: [...now.records.values()].toSorted((a, b) => a.id - b.id),
    inherited: desk.inherited.filter(({ id }) => !now.records.has(id)),
    damaged: [
      ...now.damaged,
      ...damagedBags.flatMap(([unit, reason]): readonly DamagedObject[] =>
        reason === null ? [] : [{ object: `unit:${unit}`, relation: null, unit, reason }],
      ),
    ],
  };
};
