/**
 * What a dispatch hands to Juju when it ends, and in which order: what the whole fleet shares only while this unit leads, and of that
 * the key first. Juju stores nothing of it before the dispatch has ended well.
 */
import { applicationOf } from '../../../actors/model/ids.ts';
import { same } from '../../../actors/model/same.ts';
import type { Memory } from '../../../actors/model/snapshot.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag } from '../tools.ts';
import { type CharmState, stateChanges } from './charm-state.ts';
import { answerClients, answerOfUnit, clientEndpoints, removeLeftOver } from './clients.ts';
import { keyField, keyLabel } from '../fleet-key.ts';
import { type Desk, plainSealer, type UnitOptions } from './desk.ts';
import { bagText, leftUnit, memberText, readUnit, sharedChanges } from './peer-data.ts';
import type { Reading } from './reading.ts';

/** Writes every bag and secret that differs. `hasLeft`: this unit takes itself off. */
export const flushDesk = async (
  options: UnitOptions,
  reading: Reading,
  desk: Desk,
  hasLeft: boolean,
): Promise<void> => {
  const { tools, unit } = options;
  if (desk.then.otherKey !== null) return;
  if (desk.abroad !== null) await flushAsLeader(options, reading, desk, desk.abroad);
  await tools.writeBag(desk.peers, 'unit', hasLeft ? changed(desk.ownBag, leftUnit) : unitChanges(options, desk));
  if (!desk.isDying) await answerOfUnit(tools, reading, unit, desk.now.records);
};

const flushAsLeader = async (
  options: UnitOptions,
  reading: Reading,
  desk: Desk,
  abroad: NonNullable<Desk['abroad']>,
): Promise<void> => {
  const { tools, unit, log } = options;
  try {
    if (!(await reading.leads())) throw notLeaderAnyMore;
    await flushAbroad(options, reading, desk, abroad);
    const changes = sharedChanges(desk.then, desk.now, desk.sealer);
    if (Object.keys(changes).length === 0) return;
    if (desk.newKey !== null)
      await tools.secretAdd({ owner: 'application', label: keyLabel, content: { [keyField]: desk.newKey } });
    await tools.writeBag(desk.peers, 'application', changes);
  } catch (cause) {
    if (cause !== notLeaderAnyMore && !(cause instanceof ToolRefusal && cause.kind === 'notLeader')) throw cause;
    log.warn({ unit }, 'leadership was lost during this hook: what was decided under it is dropped');
  }
};

const notLeaderAnyMore = new Error('not the leader any more');

const flushAbroad = async (
  { tools, unit, occasion: { broken } }: UnitOptions,
  reading: Reading,
  desk: Desk,
  { backend, clients }: NonNullable<Desk['abroad']>,
): Promise<void> => {
  if (backend !== null) await tools.writeBag(backend.relation, 'application', backend.request);
  const answered = await answerClients(tools, desk.sealer, clients, desk.now);
  const isClient = broken !== null && clientEndpoints.some((endpoint) => endpoint === broken.endpoint);
  const ours = isClient ? await reading.bag(broken, applicationOf(unit), 'application') : null;
  const relation = ours === null || broken === null ? null : { relation: broken, ours };
  const secrets = await removeLeftOver(tools, clients, answered, relation);
  if (secrets !== desk.now.secrets) desk.now = { ...desk.now, secrets };
};

const unitChanges = ({ unit }: UnitOptions, { ownBag, member, bag, bagDamage }: Desk): Bag => {
  const told = readUnit(ownBag, plainSealer(unit));
  const isTold = bag === null || (bagDamage === null && same(told.bag, bag));
  return { ...changed(ownBag, memberText(member)), ...(isTold ? {} : bagText(bag, plainSealer(unit))) };
};

const changed = (before: Bag, wanted: Bag): Bag =>
  Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (before[key] ?? '') !== value));

/** Of charm state, what is kept for others than the actors. */
export type Kept = Partial<Pick<CharmState, 'status' | 'service' | 'hasCertificate' | 'watchers'>>;

/** Keeps what a later dispatch of this unit is to know. `memory`: of the actors; null: as it was. */
export const flushState = async (
  { tools, occasion }: UnitOptions,
  reading: Reading,
  desk: Desk | null,
  { memory, kept }: { readonly memory: Memory | null; readonly kept: Kept },
): Promise<void> => {
  const { stored, state } = await reading.state();
  const next: CharmState = {
    ...state,
    ...kept,
    memory: memory === null ? state.memory : keptMemory(memory),
    relations: await reading.relations(),
    members: await reading.members(),
    knowsAll: await reading.knowsAll(),
    departing: state.departing || occasion.departing !== null || desk?.isDying === true,
    epoch: Math.max(state.epoch, desk?.now.lease?.epoch ?? 0),
  };
  const changes = stateChanges(stored, next);
  if (Object.keys(changes).length > 0) await tools.stateSet(changes);
};

const keptMemory = ({ waits, verified }: Memory): CharmState['memory'] => ({
  waits,
  verified:
    verified === null ? null : { generation: verified.generation, epoch: verified.epoch, digest: verified.digest },
});
