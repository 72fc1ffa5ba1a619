import { describe, expect, it } from 'vitest';
import { endStateOf } from '../support/charm-end-state.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';
import type { FaultAt } from '../support/juju/hook-record.ts';

const notFound = 'invalid value "x" for option -r: relation not found';

/** A tool, what it says, and of which calls. */
const refusals: readonly (readonly [tool: string, says: string, about: RegExp])[] = [
  ['secret-get', 'permission denied', /backend/],
  ['secret-get', 'secret "x" not found', /backend/],
  ['secret-get', 'permission denied', /--label troupe/],
  ['secret-get', 'consumer label "troupe" not found', /--label troupe/],
  ['secret-get', 'connection is shut down', /./],
  ['relation-get', 'permission denied', /-r database/],
  ['relation-get', 'permission denied', /-r backend-database/],
  ['relation-get', notFound, /-r database/],
  ['relation-get', notFound, /-r backend-database/],
  ['relation-get', notFound, /-r pgb-peers/],
  ['relation-list', 'connection is shut down', /./],
  ['is-leader', 'leadership status unknown', /./],
  ['is-leader', 'connection is shut down', /./],
  ['config-get', 'access denied', /./],
  ['state-get', 'access denied', /./],
  ['state-set', 'access denied', /./],
  ['relation-set', 'cannot write relation settings', /./],
  ['status-set', 'access denied', /./],
  ['juju-log', 'access denied', /./],
];

const refusing =
  (tool: string, says: string, about: RegExp, heard: () => void): FaultAt =>
  (call) => {
    if (!call.unit.startsWith(`${application}/`) || call.tool !== tool || !about.test(call.args.join(' '))) return null;
    heard();
    return { says };
  };

describe('what Juju refuses for a while', () => {
  it.each(refusals)('comes later, when it is on the way up: %s says %s (%s)', async (tool, says, about) => {
    await using fleet = await CharmFleet.open(3, 2, { clock: createHurriedClock(5_000) });
    let times = 6;
    const refuse = refusing(tool, says, about, () => {
      times -= 1;
    });
    fleet.juju.faultAt = (call) => (times > 0 ? refuse(call) : null);
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
    expect(fleet.answerTo(orders)).toHaveProperty('password');
  });

  it.each(refusals)('takes nothing from a client that is served: %s says %s (%s)', async (tool, says, about) => {
    await using fleet = await CharmFleet.open(3, 2, { clock: createHurriedClock(5_000) });
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    const seen = (): unknown => ({
      answer: fleet.answerTo(orders),
      logins: [...fleet.postgres.logins.keys()],
      inis: [0, 1].map((number) => [...fleet.machine.diskOf(fleet.unitName(number)).inis.values()]),
      authFiles: [0, 1].map((number) => fleet.machine.diskOf(fleet.unitName(number)).authFile),
    });
    const [before, settled] = [seen(), endStateOf(fleet)];
    fleet.juju.faultAt = refusing(tool, says, about, () => {});
    fleet.juju.updateStatus(application);
    await fleet.steps(6);
    expect(seen()).toEqual(before);
    fleet.juju.faultAt = () => null;
    await fleet.settle();
    expect(endStateOf(fleet)).toEqual(settled);
  });
});
