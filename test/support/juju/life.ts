/** How units come and go, who leads then, and when what was left is gone from the controller. */
import type { Controller } from './controller.ts';
import { addressOfNewPod, directoryOfNewPod, pebblesStart } from './pods.ts';
import type { Application, Unit } from './things.ts';

export const addUnit = (controller: Controller, application: Application, number: number): void => {
  const name = `${application.name}/${number}`;
  const unit: Unit = {
    name,
    number,
    application,
    address: addressOfNewPod(controller, application.name, name),
    charmDirectory: directoryOfNewPod(controller, application, number),
    charm: application.charm,
    life: 'alive',
    status: { word: 'waiting', message: 'installing agent' },
    state: {},
    ports: new Set(),
    views: new Map(),
    done: { installed: false, started: false, stopped: false },
    told: { revision: null, options: null, leadership: null },
    workloads: new Map(),
    notices: [],
    storages: new Map(
      [...application.charm.storages.keys()].map((storage) => [
        `${storage}/${controller.next()}`,
        { life: 'pending', in: controller.chance.below(6, `${name} ${storage}`) },
      ]),
    ),
    actions: [],
    updateStatus: false,
    stopAsked: false,
    failed: null,
  };
  application.units.set(name, unit);
  pebblesStart(controller, unit);
  elect(controller, application);
};

/** It has hooks to run before it is gone, and leads no more. */
export const kill = (controller: Controller, unit: Unit): void => {
  unit.life = 'dying';
  unit.updateStatus = false;
  unit.stopAsked = false;
  if (unit.application.leader === unit.name) {
    unit.application.leader = null;
    elect(controller, unit.application);
  }
};

const elect = ({ chance }: Controller, application: Application): void => {
  const alive = [...application.units.values()].filter(({ life }) => life === 'alive');
  application.leader ??= chance.shuffled(alive, ({ name }) => name)[0]?.name ?? null;
};

/** What nobody holds any more is gone. */
export const bury = (controller: Controller): void => {
  for (const unit of controller.units()) {
    if (unit.life !== 'dead') continue;
    unit.application.units.delete(unit.name);
    forgetSecretsOf(controller, unit.name);
    if (unit.application.leader === unit.name) {
      unit.application.leader = null;
      elect(controller, unit.application);
    }
  }
  for (const { id, sides, dying, members } of controller.relations.values()) {
    const [first, second] = sides;
    const isOver = second === undefined ? first?.application.dying === true : dying;
    if (isOver && members.size === 0 && (second !== undefined || first?.application.units.size === 0))
      controller.relations.delete(id);
  }
  for (const application of controller.applications.values()) {
    const isRelated = [...controller.relations.values()].some(({ sides }) =>
      sides.some((side) => side.application === application),
    );
    if (!application.dying || application.units.size > 0 || isRelated) continue;
    controller.applications.delete(application.name);
    forgetSecretsOf(controller, application.name);
  }
};

const forgetSecretsOf = ({ secrets }: Controller, owner: string): void => {
  for (const secret of secrets.values()) {
    if (secret.owner.name === owner) secrets.delete(secret.xid);
    secret.consumers.delete(owner);
  }
};
