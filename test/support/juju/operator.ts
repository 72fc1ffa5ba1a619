/** What the operator does to a model, and what Juju would not let him do. */
import { createHash } from 'node:crypto';
import { type Charm, type CharmOption, ImpossibleInJuju, type OptionValue } from './charm.ts';
import type { Controller, DeployOptions } from './controller.ts';
import { addUnit, bury, kill } from './life.ts';
import { notYet } from './next-hook.ts';
import { pebblesStart } from './pods.ts';
import type { ActionOutcome, Application, Notice, Unit, Values } from './things.ts';

export const deploy = (controller: Controller, name: string, charm: Charm, options: DeployOptions): void => {
  if (controller.applications.has(name)) throw new ImpossibleInJuju(`there is an application ${name} already`);
  if (!applicationName.test(name)) throw new ImpossibleInJuju(`no application can be called ${name}`);
  if (charm.oldestJuju !== null && !isSince(controller, charm.oldestJuju))
    throw new ImpossibleInJuju(`${name} assumes Juju ${charm.oldestJuju}, and this is ${controller.version}`);
  const application: Application = {
    name,
    charm,
    revision: 1,
    options: {},
    leader: null,
    dying: false,
    version: '',
    status: null,
    leaderSettings: {},
    units: new Map(),
  };
  controller.applications.set(name, application);
  controller.deployments.set(name, options);
  configure(controller, name, options.options ?? {});
  for (const [endpoint, { role }] of charm.endpoints)
    if (role === 'peers') controller.newRelation([{ application, endpoint }]);
  scale(controller, name, options.units ?? 1);
};

/** As a StatefulSet does: the highest numbers come and go. */
export const scale = (controller: Controller, name: string, units: number): void => {
  const application = living(controller, name);
  if (!Number.isInteger(units) || units < 0) throw new ImpossibleInJuju(`${name} cannot have ${units} units`);
  const alive = [...application.units.values()].filter(({ life }) => life === 'alive');
  if (alive.length < application.units.size && units > alive.length)
    throw new ImpossibleInJuju(`units of ${name} are still leaving: settle first`);
  for (let number = alive.length; number < units; number += 1) addUnit(controller, application, number);
  for (const unit of alive.toSorted((a, b) => b.number - a.number).slice(0, Math.max(0, alive.length - units)))
    kill(controller, unit);
};

/** The highest one is gone with its pod, and none of its hooks runs any more. */
export const loseUnit = (controller: Controller, application: string): void => {
  const units = [...controller.application(application).units.values()];
  const unit = units.toSorted((a, b) => b.number - a.number)[0];
  if (unit === undefined) throw new ImpossibleInJuju(`${application} has no units`);
  kill(controller, unit);
  unit.life = 'dead';
  for (const relation of controller.relations.values()) relation.members.delete(unit.name);
  bury(controller);
};

/** `application:endpoint` each; the id of the relation. Across models, the one that requires lives in another model. */
export const integrate = (
  controller: Controller,
  one: string,
  other: string,
  { acrossModels }: { readonly acrossModels: boolean },
): number => {
  const sides = [controller.side(one), controller.side(other)] as const;
  const roles = sides.map(({ application, endpoint }) => application.charm.endpoints.get(endpoint));
  const [first, second] = roles;
  if (first?.interface !== second?.interface || !isProviderAndRequirer(roles))
    throw new ImpossibleInJuju(`${one} and ${other} do not fit together`);
  for (const [at, side] of sides.entries()) {
    const limit = roles[at]?.limit ?? Number.POSITIVE_INFINITY;
    if (controller.relationsOf(side.application.name, side.endpoint).length >= limit)
      throw new ImpossibleInJuju(`${side.application.name}:${side.endpoint} takes no further relation`);
  }
  const isThere = [...controller.relations.values()].some((relation) =>
    sides.every(({ application, endpoint }) =>
      relation.sides.some((side) => side.application === application && side.endpoint === endpoint),
    ),
  );
  if (isThere) throw new ImpossibleInJuju(`${one} and ${other} are related already`);
  const consumer = sides.find((_, at) => roles[at]?.role === 'requires')?.application.name;
  if (!acrossModels || consumer === undefined) return controller.newRelation([...sides]);
  const digest = createHash('sha256').update(`${controller.uuid} ${consumer}`).digest('hex');
  const model = `${digest.slice(0, 8)}-0000-4000-8000-${digest.slice(8, 20)}`;
  return controller.newRelation([...sides], { application: consumer, alias: `remote-${digest.slice(-32)}`, model });
};

export const removeRelation = (controller: Controller, id: number): void => {
  const relation = controller.relation(id);
  if (relation.sides.length === 1) throw new ImpossibleInJuju('a peer relation ends with its application');
  relation.dying = true;
  bury(controller);
};

export const removeApplication = (controller: Controller, name: string): void => {
  const application = controller.application(name);
  application.dying = true;
  for (const relation of controller.relations.values())
    if (relation.sides.length > 1 && relation.sides.some((side) => side.application === application))
      relation.dying = true;
  for (const unit of application.units.values()) if (unit.life === 'alive') kill(controller, unit);
  bury(controller);
};

/** Null resets. */
export const configure = (
  controller: Controller,
  name: string,
  changes: Readonly<Record<string, OptionValue | null>>,
): void => {
  const application = living(controller, name);
  for (const [option, value] of Object.entries(changes)) {
    const declared = application.charm.options.get(option);
    if (declared === undefined) throw new ImpossibleInJuju(`${name} has no option ${option}`);
    if (value !== null && !isOfType(value, declared.type))
      throw new ImpossibleInJuju(`option ${option} of ${name} is a ${declared.type}, and ${String(value)} is not`);
  }
  application.options = Object.fromEntries(
    Object.entries({ ...application.options, ...changes }).flatMap(([option, value]) =>
      value === null ? [] : [[option, value] as const],
    ),
  );
};

/** Each pod is made anew, the highest number first. */
export const refresh = (controller: Controller, name: string, charm: Charm): void => {
  const application = living(controller, name);
  const lost = [...endpointsInUse(controller, name)].find((endpoint) => !charm.endpoints.has(endpoint));
  if (lost !== undefined) throw new ImpossibleInJuju(`${name} is related by ${lost}, which the other charm has not`);
  application.charm = charm;
  application.revision += 1;
  for (const unit of application.units.values()) {
    unit.stopAsked = unit.done.installed;
    if (!unit.done.installed) unit.charm = charm; // It has downloaded nothing yet.
  }
};

/** The charm container alone: a start, and its agent has forgotten which Pebble it knew. */
export const restartAgent = (controller: Controller, name: string): void => {
  const unit = controller.unit(name);
  if (!unit.done.started) throw new ImpossibleInJuju(`${name} has not been started yet`);
  unit.done.started = false;
  pebblesStart(controller, unit);
};

/** The workload container is away, its image is being fetched for one: no hook of it before `restartWorkload`. */
export const stopWorkload = (controller: Controller, name: string, container: string): void => {
  const unit = controller.unit(name);
  refuseUnknownContainer(unit, container);
  unit.workloads.set(container, { in: notYet });
};

/** The workload container alone. */
export const restartWorkload = (controller: Controller, name: string, container: string): void => {
  const unit = controller.unit(name);
  refuseUnknownContainer(unit, container);
  unit.workloads.set(container, { in: 0 });
};

export const notify = (controller: Controller, name: string, notice: Notice): void => {
  const unit = controller.unit(name);
  refuseUnknownContainer(unit, notice.container);
  const oldest = notice.kind === 'custom-notice' ? '3.4.0' : '3.6.0';
  if (!isSince(controller, oldest))
    throw new ImpossibleInJuju(`Juju ${controller.version} has no ${notice.kind}: it came with ${oldest}`);
  unit.notices.push(notice);
};

/** A unit that leaves may lead to its end. */
export const moveLeadership = (controller: Controller, name: string, to: string | null): void => {
  const application = controller.application(name);
  if (to !== null && (controller.unit(to).application !== application || controller.unit(to).life === 'dead'))
    throw new ImpossibleInJuju(`${to} cannot lead ${name}`);
  application.leader = to;
};

/** Of one unit, or of all of an application. */
export const updateStatus = (controller: Controller, name: string): void => {
  const units = name.includes('/') ? [controller.unit(name)] : [...controller.application(name).units.values()];
  for (const unit of units) unit.updateStatus = true;
};

/** Resolves when it ran. */
export const startAction = (
  controller: Controller,
  name: string,
  action: string,
  parameters: Readonly<Record<string, unknown>>,
): Promise<ActionOutcome> => {
  const unit = controller.unit(name);
  const declared = unit.application.charm.actions.get(action);
  if (declared === undefined) throw new ImpossibleInJuju(`${unit.application.name} has no action ${action}`);
  for (const [parameter, value] of Object.entries(parameters)) {
    const type = declared[parameter]?.type;
    if (declared[parameter] === undefined || (type !== undefined && !isOfJsonType(value, type)))
      throw new ImpossibleInJuju(`action ${action} takes no ${parameter} like ${String(value)}`);
  }
  const defaults = Object.entries(declared).flatMap(([parameter, { default: value }]) =>
    value === undefined ? [] : [[parameter, value] as const],
  );
  const { promise, resolve } = Promise.withResolvers<ActionOutcome>();
  unit.actions.push({
    id: controller.next(),
    name: action,
    parameters: { ...Object.fromEntries(defaults), ...parameters },
    finished: resolve,
  });
  return promise;
};

/** Granted to these applications; its URI. */
export const addUserSecret = (controller: Controller, content: Values, to: readonly string[]): string => {
  if (!isSince(controller, '3.3.0')) throw new ImpossibleInJuju(`Juju ${controller.version} has no secrets of users`);
  const xid = controller.newXid();
  controller.secrets.set(xid, {
    xid,
    owner: { kind: 'user', name: 'admin' },
    label: '',
    description: '',
    revisions: new Map([[1, content]]),
    latest: 1,
    rotation: null,
    expiry: null,
    toldObsolete: new Set(),
    grants: to.map((application) => ({ to: application, relation: null })),
    consumers: new Map(),
  });
  return `secret:${xid}`;
};

/** As Juju wants names: of small letters, digits and single dashes, no part of digits alone. */
const applicationName = /^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$/;

const isSince = ({ versionNumbers }: Controller, oldest: string): boolean => {
  const wanted = oldest.split('.').map(Number);
  const at = versionNumbers.findIndex((part, index) => part !== (wanted[index] ?? 0));
  return at === -1 || (versionNumbers[at] ?? 0) > (wanted[at] ?? 0);
};

const living = (controller: Controller, name: string): Application => {
  const application = controller.application(name);
  if (application.dying) throw new ImpossibleInJuju(`${name} is being removed`);
  return application;
};

/** Those that are related. */
const endpointsInUse = (controller: Controller, name: string): ReadonlySet<string> =>
  new Set(
    [...controller.relations.values()].flatMap(({ sides }) =>
      sides.flatMap(({ application, endpoint }) => (application.name === name ? [endpoint] : [])),
    ),
  );

const refuseUnknownContainer = ({ application }: Unit, container: string): void => {
  if (!application.charm.containers.includes(container))
    throw new ImpossibleInJuju(`${application.name} has no container ${container}`);
};

const isProviderAndRequirer = (found: readonly ({ readonly role: string } | undefined)[]): boolean =>
  ['provides', 'requires'].every((role) => found.some((endpoint) => endpoint?.role === role));

const isOfType = (value: OptionValue, type: CharmOption['type']): boolean => {
  if (type === 'int') return Number.isInteger(value);
  if (type === 'float') return typeof value === 'number';
  if (type === 'secret') return typeof value === 'string' && value.startsWith('secret:');
  return typeof value === type;
};

const isOfJsonType = (value: unknown, type: string): boolean =>
  type === 'integer' ? Number.isInteger(value) : type === 'array' ? Array.isArray(value) : typeof value === type;
