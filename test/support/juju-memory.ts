/**
 * As much of a Juju model as a backplane sees, in memory: the rules of who may read and write what, and that what a dispatch wrote is
 * stored when it ends well, all of it at once, or not at all.
 */
import type { SecretContent } from '../../src/infra/juju/secret-files.ts';
import { ToolRefusal } from '../../src/infra/juju/tool-refusal.ts';
import type { Bag, JujuTools, Scope } from '../../src/infra/juju/tools.ts';

interface Relation {
  readonly endpoint: string;
  readonly id: number;
  /** Ours for the peer relation. */
  readonly remoteApplication: string;
  /** By owner: a unit, or an application with a trailing slash. */
  readonly bags: Map<string, Bag>;
  readonly remoteUnits: Set<string>;
}
interface StoredSecret {
  readonly id: string;
  readonly label: string;
  readonly owner: string;
  content: SecretContent;
  revision: number;
  readonly grants: Set<number>;
}

/** What a dispatch did, to be stored together. */
type Commit = () => void;

export class MemoryJuju {
  readonly application: string;
  readonly units = new Set<string>();
  leader: string | null = null;
  config: Readonly<Record<string, string | number | boolean>> = {};
  readonly relations = new Map<number, Relation>();
  readonly secrets = new Map<string, StoredSecret>();
  readonly states = new Map<string, Bag>();
  #ids = 0;

  constructor(application: string) {
    this.application = application;
  }

  /** A unit joins the peer relation, which the first of them makes. */
  addUnit(unit: string): void {
    this.units.add(unit);
    this.leader ??= unit;
    const peers = this.peers ?? this.relate('pgb-peers', this.application);
    peers.bags.set(unit, { 'private-address': '10.0.0.1' });
  }

  get peers(): Relation | undefined {
    return [...this.relations.values()].find(({ endpoint }) => endpoint === 'pgb-peers');
  }

  relate(endpoint: string, remoteApplication: string): Relation {
    this.#ids += 1;
    const relation = { endpoint, id: this.#ids, remoteApplication, bags: new Map(), remoteUnits: new Set<string>() };
    this.relations.set(relation.id, relation);
    return relation;
  }

  /** The other side writes into its application's bag. */
  remoteWrites(id: number, changes: Bag): void {
    const relation = this.#relation(id);
    const owner = `${relation.remoteApplication}/`;
    relation.bags.set(owner, merged(relation.bags.get(owner) ?? {}, changes));
  }

  remove(id: number): void {
    this.relations.delete(id);
  }

  bagOf(id: number, owner: string): Bag {
    return this.#relation(id).bags.get(owner) ?? {};
  }

  /** A dispatch of a unit: its tools, what they were called for, and the end of it. */
  dispatch(unit: string): { readonly tools: JujuTools; readonly calls: string[]; commit(): void } {
    const calls: string[] = [];
    const commits: Commit[] = [];
    const own = new Map<string, Bag>();
    const isLeader = (): boolean => this.leader === unit;
    const called = (tool: string): void => void calls.push(tool);
    const ownerOf = (member: string, scope: Scope): string => (scope === 'application' ? `${member}/` : member);
    const seen = (relation: Relation, owner: string): Bag =>
      own.get(`${relation.id} ${owner}`) ?? relation.bags.get(owner) ?? {};
    const pending = new Map<string, StoredSecret>();
    const secretBy = (by: { readonly id?: string; readonly label?: string }): StoredSecret | undefined =>
      [...this.secrets.values(), ...pending.values()].find(
        ({ id, label, owner }) =>
          // Labels of what other units own are theirs.
          id === by.id || (by.id === undefined && label === by.label && (owner === unit || !this.units.has(owner))),
      );
    const tools: Partial<JujuTools> = {
      isLeader: async () => {
        called('is-leader');
        return isLeader();
      },
      config: async () => {
        called('config-get');
        return this.config;
      },
      relationIds: async (endpoint) => {
        called('relation-ids');
        return [...this.relations.values()].filter((one) => one.endpoint === endpoint).map(({ id }) => id);
      },
      relationUnits: async (of) => {
        called('relation-list');
        const relation = this.relations.get(of.id);
        if (relation?.endpoint === 'pgb-peers') return [...this.units].filter((one) => one !== unit);
        return [...(relation?.remoteUnits ?? [])];
      },
      remoteApplication: async (of) => {
        called('relation-list');
        return this.relations.get(of.id)?.remoteApplication ?? null;
      },
      readBag: async (of, member, scope) => {
        called('relation-get');
        const relation = this.relations.get(of.id);
        if (relation === undefined) return null;
        const isOwnApplication = scope === 'application' && member === this.application;
        if (isOwnApplication && relation.endpoint !== 'pgb-peers' && !isLeader())
          throw new ToolRefusal('relation-get', 'forbidden', 'permission denied');
        return seen(relation, ownerOf(member, scope));
      },
      writeBag: async (of, scope, changes) => {
        if (Object.keys(changes).length === 0) return;
        called('relation-set');
        const relation = this.#relation(of.id);
        const owner = ownerOf(scope === 'application' ? this.application : unit, scope);
        if (scope === 'application' && !isLeader())
          throw new ToolRefusal('relation-set', 'notLeader', 'cannot write relation settings');
        const bag = merged(seen(relation, owner), changes);
        own.set(`${relation.id} ${owner}`, bag);
        commits.push(() => relation.bags.set(owner, bag));
      },
      secretGet: async (by) => {
        called('secret-get');
        const secret = secretBy(by);
        if (secret === undefined) return null;
        if (
          secret.owner !== this.application &&
          secret.owner !== unit &&
          ![...secret.grants].some((id) => this.relations.has(id))
        )
          throw new ToolRefusal('secret-get', 'forbidden', 'permission denied');
        return secret.content;
      },
      secretAdd: async ({ owner: scope, label, content }) => {
        called('secret-add');
        const owner = scope === 'unit' ? unit : this.application;
        if (scope === 'application' && !isLeader())
          throw new ToolRefusal('secret-add', 'notLeader', 'this unit is not the leader');
        if (secretBy({ label }) !== undefined) throw new ToolRefusal('secret-add', 'labelTaken', 'already exists');
        this.#ids += 1;
        const id = `secret:s${this.#ids}`;
        const secret = { id, label, owner, content, revision: 1, grants: new Set<number>() };
        pending.set(id, secret);
        commits.push(() => this.secrets.set(id, secret));
        return id;
      },
      secretSet: async (id, _owner, content) => {
        called('secret-set');
        commits.push(() => {
          const secret = this.secrets.get(id);
          if (secret === undefined) throw new Error(`there is no secret ${id}`);
          secret.content = content;
          secret.revision += 1;
        });
      },
      secretGrant: async (id, to) => {
        called('secret-grant');
        commits.push(() => secretBy({ id })?.grants.add(to.id));
      },
      secretRemove: async (id) => {
        called('secret-remove');
        commits.push(() => this.secrets.delete(id));
      },
      secretInfo: async (by) => {
        called('secret-info-get');
        const secret = secretBy('id' in by ? { id: by.id } : { label: by.label });
        return secret === undefined
          ? null
          : {
              id: secret.id,
              revision: secret.revision,
              label: secret.label,
              owner: secret.owner === unit ? 'unit' : 'application',
            };
      },
      goalState: async () => {
        called('goal-state');
        return { units: Object.fromEntries([...this.units].map((one) => [one, { status: 'active' }])), relations: {} };
      },
      stateGet: async () => {
        called('state-get');
        return this.states.get(unit) ?? {};
      },
      stateSet: async (changes) => {
        called('state-set');
        commits.push(() => this.states.set(unit, merged(this.states.get(unit) ?? {}, changes)));
      },
    };
    return { tools: tools as JujuTools, calls, commit: () => commits.splice(0).forEach((commit) => commit()) };
  }

  #relation(id: number): Relation {
    const relation = this.relations.get(id);
    if (relation === undefined) throw new ToolRefusal('relation-get', 'relationGone', 'relation not found');
    return relation;
  }
}

const merged = (bag: Bag, changes: Bag): Bag =>
  Object.fromEntries(Object.entries({ ...bag, ...changes }).filter(([, value]) => value !== ''));
