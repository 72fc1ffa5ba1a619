/**
 * What a unit can see in one dispatch, read when it is first needed and never again: Juju shows the same for as long as a hook runs,
 * and each look costs a process.
 */
import type { Clock } from '../../../actors/ports/clock.ts';
import type { RelationRef } from '../environment.ts';
import type { SecretContent } from '../secret-files.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag, JujuTools, Scope } from '../tools.ts';
import { type CharmState, type Members, readState, type Relations } from './charm-state.ts';

/** Why this dispatch runs, as far as the backplane goes. */
export interface Occasion {
  /** The hook by its name, which is the reason of what follows from it. */
  readonly hook: string;
  readonly leaderElected: boolean;
  /** The operator says that the limit of connections is meant for the whole fleet. */
  readonly confirmsLimit: boolean;
  /** Relations may have come or gone without a word to this unit: they are asked for. */
  readonly relationsAnew: boolean;
  /** The relation that it is about, which may be a new one. */
  readonly about: { readonly relation: RelationRef; readonly remoteApplication: string | null } | null;
  readonly broken: RelationRef | null;
  /** It is this unit that leaves, and it hears so about this relation. */
  readonly departing: RelationRef | null;
}

export interface Related {
  readonly relation: RelationRef;
  readonly remoteApplication: string;
}

/** A word of Juju is good for 30 s. */
const leadershipMs = 20_000;

export class Reading {
  readonly #tools: JujuTools;
  readonly #clock: Clock;
  readonly #occasion: Occasion;
  readonly #endpoints: readonly string[];
  readonly #bags = new Map<string, Promise<Bag | null>>();
  readonly #units = new Map<number, Promise<readonly string[]>>();
  readonly #secrets = new Map<string, Promise<SecretContent | null>>();
  #state: Promise<{ readonly stored: Bag; readonly state: CharmState; readonly losses: readonly string[] }> | null =
    null;
  #relations: Promise<Relations> | null = null;
  #config: Promise<Readonly<Record<string, string | number | boolean>>> | null = null;
  #leads: { readonly answer: Promise<boolean>; readonly askedAt: number } | null = null;

  constructor(tools: JujuTools, clock: Clock, occasion: Occasion, endpoints: readonly string[]) {
    this.#tools = tools;
    this.#clock = clock;
    this.#occasion = occasion;
    this.#endpoints = endpoints;
  }

  state(): Promise<{ readonly stored: Bag; readonly state: CharmState; readonly losses: readonly string[] }> {
    this.#state ??= this.#readState();
    return this.#state;
  }

  /** Asked again when the last word is too old to write by; who has lost it once in a dispatch does not get it back. */
  async leads(): Promise<boolean> {
    const now = this.#clock.now();
    const isOld = this.#leads !== null && now - this.#leads.askedAt > leadershipMs;
    if (this.#leads === null || (isOld && (await this.#leads.answer)))
      this.#leads = { answer: this.#tools.isLeader(), askedAt: now };
    return this.#leads.answer;
  }

  config(): Promise<Readonly<Record<string, string | number | boolean>>> {
    this.#config ??= this.#tools.config();
    return this.#config;
  }

  /** A unit hears of each relation by a hook of its own, and of all of them before it is elected, configured or started. */
  async knowsAll(): Promise<boolean> {
    const { state } = await this.state();
    return state.knowsAll || (this.#occasion.relationsAnew && this.#occasion.hook !== 'install');
  }

  /** The living ones of our endpoints. */
  relations(): Promise<Relations> {
    this.#relations ??= this.#readRelations();
    return this.#relations;
  }

  async of(endpoint: string): Promise<readonly Related[]> {
    const known = (await this.relations())[endpoint] ?? {};
    return Object.entries(known)
      .map(([id, remoteApplication]) => ({ relation: { endpoint, id: Number(id) }, remoteApplication }))
      .toSorted((a, b) => a.relation.id - b.relation.id);
  }

  bag(of: RelationRef, member: string, scope: Scope): Promise<Bag | null> {
    const key = `${of.id} ${scope} ${member}`;
    const bag = this.#bags.get(key) ?? this.#readBag(of, member, scope);
    this.#bags.set(key, bag);
    return bag;
  }

  /** Logins are dropped with a relation: gone is one that Juju does not list either. Else the hook fails, and is run again. */
  async #readBag(of: RelationRef, member: string, scope: Scope): Promise<Bag | null> {
    const bag = await this.#tools.readBag(of, member, scope);
    if (bag !== null || this.#occasion.broken?.id === of.id) return bag;
    const listed = await this.#tools.relationIds(of.endpoint);
    if (!listed.includes(of.id)) return null;
    throw new ToolRefusal('relation-get', 'failed', `relation ${of.endpoint}:${of.id} is listed, and not found`);
  }

  /** Remote units. None comes or goes without a hook about its relation. */
  units(of: RelationRef): Promise<readonly string[]> {
    const units = this.#units.get(of.id) ?? this.#unitsOf(of);
    this.#units.set(of.id, units);
    return units;
  }

  async #unitsOf(of: RelationRef): Promise<readonly string[]> {
    return (await this.#rememberedMembers())[of.id] ?? this.#tools.relationUnits(of);
  }

  async #rememberedMembers(): Promise<Members> {
    const { about, relationsAnew } = this.#occasion;
    const { members } = (await this.state()).state;
    if (relationsAnew) return {};
    return about === null ? members : withoutKey(members, String(about.relation.id));
  }

  /** What later hooks may take for the remote units: of living relations, and nothing that this one could have found out and did not. */
  async members(): Promise<Members> {
    const alive = new Set(Object.values(await this.relations()).flatMap((known) => Object.keys(known)));
    const asked = await Promise.all([...this.#units].map(async ([id, units]) => [String(id), await units] as const));
    const known = { ...(await this.#rememberedMembers()), ...Object.fromEntries(asked) };
    return Object.fromEntries(Object.entries(known).filter(([id]) => alive.has(id)));
  }

  /** One of our own. */
  labelled(label: string): Promise<SecretContent | null> {
    const content = this.#secrets.get(label) ?? this.#tools.secretGet({ label }, 'refresh');
    this.#secrets.set(label, content);
    return content;
  }

  /** One of another owner, by what a bag says of it. The label is what later hooks know it by. */
  secret(id: string, label: string): Promise<SecretContent | null> {
    const content = this.#secrets.get(id) ?? this.#tools.secretGet({ id, label }, 'refresh');
    this.#secrets.set(id, content);
    return content;
  }

  async #readState(): Promise<{ stored: Bag; state: CharmState; losses: readonly string[] }> {
    const stored = await this.#tools.stateGet();
    return { stored, ...readState(stored) };
  }

  async #readRelations(): Promise<Relations> {
    const { about, broken, relationsAnew } = this.#occasion;
    const remembered = (await this.state()).state.relations;
    const found = remembered === null || relationsAnew ? await this.#ask(remembered ?? {}) : remembered;
    const named =
      about === null || found[about.relation.endpoint]?.[about.relation.id] !== undefined
        ? found
        : await this.#with(found, about.relation, about.remoteApplication);
    return broken === null ? named : without(named, broken);
  }

  async #ask(remembered: Relations): Promise<Relations> {
    const found: [string, Readonly<Record<string, string>>][] = [];
    for (const endpoint of this.#endpoints) {
      const ids = await this.#tools.relationIds(endpoint);
      const named: [string, string][] = [];
      for (const id of ids) {
        const known = remembered[endpoint]?.[id] ?? (await this.#tools.remoteApplication({ endpoint, id }));
        if (known !== null) named.push([String(id), known]);
      }
      found.push([endpoint, Object.fromEntries(named)]);
    }
    return Object.fromEntries(found);
  }

  async #with(found: Relations, relation: RelationRef, remoteApplication: string | null): Promise<Relations> {
    const { endpoint, id } = relation;
    if (!this.#endpoints.includes(endpoint)) return found;
    const name = remoteApplication ?? (await this.#tools.remoteApplication(relation));
    return name === null ? found : { ...found, [endpoint]: { ...found[endpoint], [id]: name } };
  }
}

const without = (relations: Relations, { endpoint, id }: RelationRef): Relations => ({
  ...relations,
  [endpoint]: withoutKey(relations[endpoint] ?? {}, String(id)),
});

const withoutKey = <V>(record: Readonly<Record<string, V>>, key: string): Readonly<Record<string, V>> => {
  const { [key]: _, ...rest } = record;
  return rest;
};
