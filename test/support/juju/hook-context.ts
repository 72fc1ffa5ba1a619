/** One dispatch as the controller sees it: what it may read, what it has staged, and how that is stored when it ends well. */
import type { Charm, OptionValue } from './charm.ts';
import { ToolFault } from './flags.ts';
import type { Store } from './world.ts';
import { writeBag } from './next-hook.ts';
import { applyToSecrets, type SecretChange } from './secret-changes.ts';
import {
  type Hook,
  isPeer,
  ownSideOf,
  type Relation,
  remoteSideOf,
  type SecretThing,
  type Unit,
  type Values,
} from './things.ts';

export interface LogRecord {
  readonly unit: string;
  readonly level: string;
  readonly message: string;
}

/** The controller did not take what the hook staged: the hook has failed. */
export class FlushRefused extends Error {
  override readonly name = 'FlushRefused';
}

const largest = { stateKey: 256, stateValue: 64 * 1_024, state: 2 * 1_024 * 1_024 };

export class HookContext {
  readonly id: string;
  readonly unit: Unit;
  readonly hook: Hook;
  readonly store: Store;
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Action only. */
  readonly results: Record<string, unknown> = {};
  actionFailure: string | null = null;
  readonly secretChanges: SecretChange[] = [];
  readonly #own = new Map<number, { unit: Values; application: Values }>();
  #state: Values | null = null;
  #ports: ReadonlySet<string> | null = null;
  #saidFollower = false;

  constructor(id: string, unit: Unit, hook: Hook, store: Store) {
    this.id = id;
    this.unit = unit;
    this.hook = hook;
    this.store = store;
    this.options = optionsOf(unit.application.charm, unit.application.options);
  }

  get application(): string {
    return this.unit.application.name;
  }

  /** Once it has been false in a hook it stays false. */
  isLeader(): boolean {
    if (this.unit.application.leader !== this.unit.name) this.#saidFollower = true;
    return !this.#saidFollower;
  }

  /** Those that the unit has entered, as the hook sees them. The peer relation is not there during install. */
  relationsOf(endpoint: string): readonly Relation[] {
    return [...this.unit.views].flatMap(([id, view]) => {
      const relation = this.store.relations.get(id);
      const breaks = this.hook.relation?.id === id && this.hook.relation.kind === 'broken';
      if (relation === undefined || breaks || (view.broken && !isPeer(relation))) return [];
      return ownSideOf(relation, this.application).endpoint === endpoint ? [relation] : [];
    });
  }

  relationOf(given: string | undefined): Relation {
    if (given === undefined) {
      if (this.hook.relation === null) throw new ToolFault('no relation id specified', 2);
      return this.#known(this.hook.relation.id, '');
    }
    const [, endpoint, id] = /^(?:([^:]*):)?(\d+)$/.exec(given) ?? [];
    if (id === undefined) throw new ToolFault(`invalid value "${given}" for option -r: invalid relation id`, 2);
    const relation = this.#known(Number(id), given);
    if (endpoint !== undefined && ownSideOf(relation, this.application).endpoint !== endpoint)
      throw relationNotFound(given);
    return relation;
  }

  #known(id: number, given: string): Relation {
    const relation = this.store.relations.get(id);
    const view = this.unit.views.get(id);
    if (relation === undefined || view === undefined) throw relationNotFound(given);
    // After its broken hook a relation is over for this unit; its peers' bags stay readable until the unit is gone.
    if (view.broken && !isPeer(relation)) throw relationNotFound(given);
    return relation;
  }

  /** Remote units that have joined, the one that this hook is about included unless it leaves. */
  membersOf(relation: Relation): readonly string[] {
    const members = new Set(this.unit.views.get(relation.id)?.members.keys());
    const { hook } = this;
    if (hook.relation?.id === relation.id && hook.relation.remoteUnit !== null) {
      if (hook.relation.kind === 'departed') members.delete(hook.relation.remoteUnit);
      else members.add(hook.relation.remoteUnit);
    }
    return hook.relation?.id === relation.id && hook.relation.kind === 'broken' ? [] : [...members].toSorted();
  }

  readUnitBag(relation: Relation, member: string): Values {
    if (member === this.unit.name) return this.#withStaged(relation, 'unit');
    const remote = remoteSideOf(relation, this.application).application.name;
    if (!member.startsWith(`${remote}/`)) throw new ToolFault('permission denied');
    const bag = relation.bags.get(member);
    if (bag === undefined) throw new ToolFault('permission denied'); // Never was in this relation.
    const view = this.unit.views.get(relation.id);
    if (view?.members.has(member) !== true && this.hook.relation?.remoteUnit !== member) return bag;
    const cached = view?.cache.get(member) ?? bag;
    view?.cache.set(member, cached);
    return cached;
  }

  readApplicationBag(relation: Relation, application: string): Values {
    if (application === this.application) {
      if (!isPeer(relation) && !this.isLeader()) throw new ToolFault('permission denied');
      return this.#withStaged(relation, 'application');
    }
    if (application !== remoteSideOf(relation, this.application).application.name)
      throw new ToolFault('permission denied');
    return relation.bags.get(application) ?? {};
  }

  #withStaged(relation: Relation, scope: 'unit' | 'application'): Values {
    const stored = relation.bags.get(scope === 'unit' ? this.unit.name : this.application) ?? {};
    const merged = { ...stored, ...this.#own.get(relation.id)?.[scope] };
    return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ''));
  }

  stageBag(relation: Relation, scope: 'unit' | 'application', changes: Values): void {
    if (scope === 'application' && !this.isLeader()) throw new ToolFault('cannot write relation settings');
    const staged = this.#own.get(relation.id) ?? { unit: {}, application: {} };
    this.#own.set(relation.id, { ...staged, [scope]: { ...staged[scope], ...changes } });
  }

  get state(): Values {
    return this.#state ?? this.unit.state;
  }
  set state(next: Values) {
    this.#state = next;
  }

  get ports(): ReadonlySet<string> {
    return this.#ports ?? this.unit.ports;
  }
  set ports(next: ReadonlySet<string>) {
    this.#ports = next;
  }

  /** All of it or nothing. Throws FlushRefused. */
  flush(): void {
    this.#refuseWhatIsNotAllowed();
    for (const [id, { unit, application }] of this.#own) {
      const relation = this.store.relations.get(id);
      if (relation === undefined || (this.hook.relation?.id === id && this.hook.relation.kind === 'broken')) continue;
      writeBag(relation, this.unit.name, unit);
      writeBag(relation, this.application, application);
      // Nobody is told of what they wrote themselves.
      const view = this.unit.views.get(id);
      if (view !== undefined && isPeer(relation))
        view.applicationVersion = relation.versions.get(this.application) ?? 0;
    }
    if (this.#state !== null) this.unit.state = this.#state;
    if (this.#ports !== null) {
      this.unit.ports.clear();
      for (const port of this.#ports) this.unit.ports.add(port);
    }
    for (const change of this.#mergedSecretChanges()) applyToSecrets(change, this);
  }

  /** Since 3.6 the last content of a hook is the one new revision; before, each is one. What is added in the hook has one anyway. */
  #mergedSecretChanges(): readonly SecretChange[] {
    const merges = this.store.version[0] > 3 || this.store.version[1] >= 6;
    return this.secretChanges.map((change, at) => {
      if (change.type !== 'set' || change.content === null || !merges) return change;
      const isLast = !this.secretChanges
        .slice(at + 1)
        .some((later) => later.type === 'set' && later.xid === change.xid && later.content !== null);
      return isLast ? change : { ...change, content: null };
    });
  }

  #refuseWhatIsNotAllowed(): void {
    const leads = this.unit.application.leader === this.unit.name;
    const writesForAll = [...this.#own.values()].some(({ application }) => Object.keys(application).length > 0);
    if (writesForAll && !leads) throw new FlushRefused(`"${this.unit.name}" is not leader of "${this.application}"`);
    for (const change of this.secretChanges) {
      if (change.type === 'add') {
        if (change.secret.owner.kind === 'application' && !leads) throw new FlushRefused('permission denied');
        continue;
      }
      if (change.type === 'track') continue;
      const isNew = this.secretChanges.some((added) => added.type === 'add' && added.secret.xid === change.xid);
      if (change.type === 'remove' && isNew && this.store.version[0] >= 4)
        throw new FlushRefused(`secret "${change.xid}" not found`);
      const secret = secretIn(this, change.xid);
      if (secret === undefined) throw new FlushRefused(`secret "${change.xid}" not found`);
      const manages = secret.owner.name === this.unit.name || (secret.owner.name === this.application && leads);
      if (!manages) throw new FlushRefused('permission denied');
    }
    const state = Object.entries(this.#state ?? {});
    for (const [key, value] of state) {
      if (Buffer.byteLength(key) > largest.stateKey) throw new FlushRefused('max allowed length for key exceeded');
      if (Buffer.byteLength(value) > largest.stateValue)
        throw new FlushRefused(`max allowed length for "${key}" exceeded`);
    }
    if (state.reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0) > largest.state)
      throw new FlushRefused('charm state exceeds quota');
  }
}

const relationNotFound = (given: string): ToolFault =>
  new ToolFault(`invalid value "${given}" for option -r: relation not found`, 2);

const optionsOf = (charm: Charm, set: HookContext['options']): HookContext['options'] =>
  Object.fromEntries(
    [...charm.options].flatMap(([name, { default: value }]) => {
      const chosen = set[name] ?? value;
      return chosen === null ? [] : [[name, chosen] as const];
    }),
  );

/** Stored, or added in this hook. */
export const secretIn = (context: HookContext, xid: string): SecretThing | undefined =>
  context.store.secrets.get(xid) ??
  context.secretChanges.flatMap((change) =>
    change.type === 'add' && change.secret.xid === xid ? [change.secret] : [],
  )[0];
