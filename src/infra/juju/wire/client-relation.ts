import type { Databag } from '../../../actors/model/snapshot.ts';
import type { RelationId } from '../../../actors/model/ids.ts';
import type { Asked } from './asked.ts';
import type { Bag } from '../tools.ts';
import type { RelationRef } from '../environment.ts';
import type { WantedSecret } from './secret-groups.ts';

/** One relation of `postgresql_client` where we are the provider, as the leader finds it. */
export interface ClientRelation extends RelationRef {
  /** The client's application bag. */
  readonly theirs: Bag;
  /** Our application bag, as it stands. */
  readonly ours: Bag;
  /** Bags of the client's units, for as long as a status stands in ours; absent: not looked at, so nobody is known to have heard of it. */
  readonly theirUnits?: readonly Bag[];
  /** False where Juju is too old to have secrets. */
  readonly hasSecrets: boolean;
}

/** Our side of each request, by its number. One that is not among them is answered as it was so far. */
export type Answers = ReadonlyMap<RelationId, Databag>;

/** How one version of the interface is spoken. */
export interface ClientDialect {
  readonly asked: (relation: ClientRelation) => Asked;
  readonly secrets: (relation: ClientRelation, answers: Answers) => readonly WantedSecret[];
  /** The whole of our side, but for the status. `uris` leads from labels to secrets that are granted; what lacks one is not told yet. */
  readonly bag: (relation: ClientRelation, answers: Answers, uris: ReadonlyMap<string, string>) => Bag;
}
