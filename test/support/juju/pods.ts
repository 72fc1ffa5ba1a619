/** The pod of a unit: its address, its copy of the charm, and the Pebbles in it that start to answer. */
import { chmod, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Controller } from './controller.ts';
import type { Account } from './dispatch-run.ts';
import type { Application, Unit } from './things.ts';

export const addressOfNewPod = (controller: Controller, application: string, unit: string): string => {
  const number = controller.next();
  return controller.deployments.get(application)?.address?.(unit) ?? `10.1.${number >> 8}.${number & 255}`;
};

export const directoryOfNewPod = (controller: Controller, { name }: Application, number: number): string =>
  join(controller.home, `unit-${name}-${number}-${controller.next()}`, 'charm');

/** Each within a few hooks, in any order. */
export const pebblesStart = ({ chance }: Controller, unit: Unit): void => {
  for (const container of unit.application.charm.containers)
    unit.workloads.set(container, { in: chance.below(6, `${unit.name} ${container}`) });
};

/** Another directory, address and workload; the agent downloads the charm again. */
export const renewPod = async (controller: Controller, unit: Unit): Promise<void> => {
  const { application } = unit;
  await rm(unit.charmDirectory, { recursive: true, force: true });
  unit.charm = application.charm;
  unit.charmDirectory = directoryOfNewPod(controller, application, unit.number);
  unit.address = addressOfNewPod(controller, application.name, unit.name);
  unit.done.started = false;
  unit.done.stopped = false;
  unit.stopAsked = false;
  unit.told = { ...unit.told, revision: null, options: null };
  pebblesStart(controller, unit);
  await controller.deployments.get(application.name)?.newPod?.(unit.name);
};

/** The agent's own copy: what the charm writes there is gone with the pod. Does nothing when it is there. */
export const unpackCharm = async (unit: Unit, account: Account | null): Promise<void> => {
  const { charmDirectory } = unit;
  try {
    await mkdir(join(charmDirectory, '..'));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return;
    throw cause;
  }
  const { body } = unit.charm;
  await mkdir(charmDirectory);
  if (account !== null) await chmod(charmDirectory, 0o777);
  if (!('directory' in body)) return;
  for (const entry of await readdir(body.directory))
    await symlink(join(body.directory, entry), join(charmDirectory, entry));
};
