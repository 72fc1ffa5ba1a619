/** What the controller lends: to the agents, who look what to do next, and to a hook that runs. */
import type { Chance } from './chance.ts';
import type { Relation, SecretThing, Unit } from './things.ts';

/** As the agents find things when they look what to do next. */
export interface World {
  readonly chance: Chance;
  readonly relations: ReadonlyMap<number, Relation>;
  readonly secrets: ReadonlyMap<string, SecretThing>;
  readonly hasLeaderSettings: boolean;
  /** In ms. */
  readonly now: number;
  /** How often time has gone on. */
  readonly passed: number;
}

/** The stored part of a model that hooks may change. */
export interface Store {
  readonly name: string;
  readonly uuid: string;
  readonly version: readonly [number, number, number];
  readonly relations: ReadonlyMap<number, Relation>;
  readonly secrets: Map<string, SecretThing>;
  readonly units: () => readonly Unit[];
  readonly newXid: () => string;
  readonly now: () => Date;
}
