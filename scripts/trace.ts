/**
 * What a hook causes, decision by decision, in a simulated fleet of two units that serves a client: `npm run trace -- HOOK`.
 * The hook arrives at the first unit; two seconds later its effects have settled.
 */
import { goldenTrace } from '../src/actors/kit/trace.ts';
import type { Hook } from '../src/actors/model/hook.ts';
import type { RelationId } from '../src/actors/model/ids.ts';
import { Secret } from '../src/actors/model/secret.ts';
import type { TraceEntry } from '../src/actors/model/status.ts';
import { unit as unitName } from '../test/support/builders.ts';
import { Fleet } from '../test/simulation/kit-fleet.ts';

const peer = unitName(1);
const relation = { endpoint: 'database', id: 2 as RelationId, name: 'orders' } as const;
const hooks: { readonly [T in Hook['type']]: Extract<Hook, { readonly type: T }> } = {
  install: { type: 'install' },
  start: { type: 'start' },
  upgradeCharm: { type: 'upgradeCharm' },
  workloadReady: { type: 'workloadReady' },
  optionsChanged: { type: 'optionsChanged' },
  leaderElected: { type: 'leaderElected' },
  leaderLost: { type: 'leaderLost' },
  peerJoined: { type: 'peerJoined', unit: peer },
  peerChanged: { type: 'peerChanged', unit: peer },
  peerDeparted: { type: 'peerDeparted', unit: peer },
  relationCreated: { type: 'relationCreated', ...relation },
  relationJoined: { type: 'relationJoined', ...relation },
  relationChanged: { type: 'relationChanged', ...relation },
  relationDeparted: { type: 'relationDeparted', ...relation },
  relationBroken: { type: 'relationBroken', ...relation },
  updateStatus: { type: 'updateStatus' },
  secretChanged: { type: 'secretChanged', label: 'client.orders' },
  action: { type: 'action', name: 'show', parameters: {} },
  stop: { type: 'stop' },
  stopNow: { type: 'stopNow' },
  handOver: { type: 'handOver' },
  remove: { type: 'remove' },
};

const isHook = (word: string): word is Hook['type'] => Object.hasOwn(hooks, word);

const traceOf = async (hook: Hook): Promise<string> => {
  const fleet = new Fleet(1);
  const first = await fleet.start(0);
  await fleet.start(1);
  await fleet.world.runAsync(1_000);
  fleet.ask({
    type: 'addBackend',
    name: 'main',
    endpoints: ['db:5432'],
    username: 'postgres',
    password: new Secret('secret'),
    maintenanceDatabase: 'postgres',
  });
  await fleet.world.runAsync(2_000);
  fleet.ask({ type: 'addClient', name: 'orders', database: 'orders', backend: null, extraUserRoles: [] });
  await fleet.world.runAsync(4_000);
  const before = fleet.world.trace.entries().at(-1)?.seq ?? 0;
  first.send(['unit', { type: 'hookArrived', hook }]);
  await fleet.world.runAsync(2_000);
  return goldenTrace(fleet.world.trace.entries().filter((entry) => entry.seq > before && isTold(entry)));
};

/** Time that passes and readings that change nothing would hide the rest. */
const isTold = ({ message, tells, effects }: TraceEntry): boolean =>
  effects.length > 0 || !(message === 'ticked' || (message === 'observed' && tells.length === 0));

const [word = ''] = process.argv.slice(2);
if (isHook(word)) process.stdout.write(await traceOf(hooks[word]));
else {
  console.error(`"${word}" is no hook: name one of ${Object.keys(hooks).join(', ')}`);
  process.exitCode = 2;
}
