/** Client relations of all three kinds: what they ask for, and how they are answered. */
import type { RelationId, UnitName } from '../../../actors/model/ids.ts';
import { applicationOf } from '../../../actors/model/ids.ts';
import type { RelationRecord } from '../../../actors/model/snapshot.ts';
import { canonical } from '../../files/canonical.ts';
import type { Sealer } from '../../files/codec.ts';
import type { RelationRef } from '../environment.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag, JujuTools } from '../tools.ts';
import type { Asked } from '../wire/asked.ts';
import type { Answers, ClientRelation } from '../wire/client-relation.ts';
import { askedByPgsql, type PgsqlRelation, pgsqlChangesFor } from '../wire/pgsql.ts';
import { askedBy, changesFor, labelsOf, secretsFor } from '../wire/postgresql-client.ts';
import type { SecretContent } from '../secret-files.ts';
import type { AskingClient } from './intent.ts';
import type { OwnedSecret, Shared } from './peer-data.ts';
import type { Reading, Related } from './reading.ts';

export const legacyEndpoints = ['db', 'db-admin'] as const;
export const clientEndpoints = ['database', ...legacyEndpoints] as const;

/** A client relation as the leader finds it. */
export type FoundClient = { readonly remoteApplication: string; readonly asked: Asked } & (
  | { readonly kind: 'postgresql_client'; readonly relation: ClientRelation }
  | { readonly kind: 'pgsql'; readonly relation: PgsqlRelation }
);

/** As the leader sees them: it alone may read what we have answered. */
export const readClients = async (reading: Reading, unit: UnitName): Promise<readonly FoundClient[]> => {
  const found: FoundClient[] = [];
  for (const related of await reading.of('database')) {
    const { relation, remoteApplication } = related;
    const theirs = await reading.bag(relation, remoteApplication, 'application');
    const ours = await reading.bag(relation, applicationOf(unit), 'application');
    if (theirs === null || ours === null) continue;
    // Only who is told a status can show that it has heard of it.
    const theirUnits = ours['status'] === undefined ? [] : Object.values(await unitBags(reading, relation));
    const whole = { ...relation, theirs, ours, theirUnits, hasSecrets: true };
    found.push({ kind: 'postgresql_client', relation: whole, remoteApplication, asked: askedBy(whole) });
  }
  for (const endpoint of legacyEndpoints) {
    for (const related of await reading.of(endpoint)) {
      const relation = await readPgsql(reading, related, applicationOf(unit), 'application');
      if (relation === null) continue;
      const { remoteApplication } = related;
      found.push({ kind: 'pgsql', relation, remoteApplication, asked: askedByPgsql(relation) });
    }
  }
  return found;
};

const readPgsql = async (
  reading: Reading,
  { relation, remoteApplication }: Related,
  self: string,
  scope: 'unit' | 'application',
): Promise<PgsqlRelation | null> => {
  const application = await reading.bag(relation, remoteApplication, 'application');
  const ours = await reading.bag(relation, self, scope);
  if (application === null || ours === null) return null;
  return { ...relation, remoteApplication, theirs: { application, units: await unitBags(reading, relation) }, ours };
};

const unitBags = async (reading: Reading, relation: RelationRef): Promise<Readonly<Record<string, Bag>>> => {
  const units: [string, Bag][] = [];
  for (const unit of await reading.units(relation)) {
    const bag = await reading.bag(relation, unit, 'unit');
    if (bag !== null) units.push([unit, bag]);
  }
  return Object.fromEntries(units);
};

export const clientsAsked = (found: readonly FoundClient[]): readonly AskingClient[] =>
  found.flatMap(({ remoteApplication, asked }) =>
    asked.requests.map(({ id, database, extraUserRoles }) => ({ id, remoteApplication, database, extraUserRoles })),
  );

const answersIn = (records: Shared['records']): Answers =>
  new Map([...records].flatMap(([id, { databag }]) => (databag === null ? [] : [[id, databag] as const])));

/** Writes what is lacking in the answers; the secrets that are ours afterwards. */
export const answerClients = async (
  tools: JujuTools,
  sealer: Sealer,
  found: readonly FoundClient[],
  { records, secrets }: Pick<Shared, 'records' | 'secrets'>,
): Promise<Shared['secrets']> => {
  const answers = answersIn(records);
  let owned = secrets;
  for (const client of found) {
    if (client.kind === 'pgsql') {
      const [request] = client.asked.requests;
      const answer = request === undefined ? undefined : answers.get(request.id);
      await tools.writeBag(client.relation, 'application', pgsqlChangesFor(client.relation, answer));
      continue;
    }
    const { relation } = client;
    const { wanted, unwanted } = secretsFor(relation, answers);
    const uris = new Map<string, string>();
    for (const { label, content } of wanted) {
      const secret = await ensureSecret(tools, sealer, relation, { label, content, known: owned.get(label) });
      uris.set(label, secret.id);
      if (secret !== owned.get(label)) owned = new Map(owned).set(label, secret);
    }
    await tools.writeBag(relation, 'application', changesFor(relation, answers, uris));
    owned = await removeSecrets(tools, owned, unwanted);
  }
  return owned;
};

interface WantedOf {
  readonly label: string;
  readonly content: SecretContent;
  readonly known: OwnedSecret | undefined;
}

/** Granted before a bag names it. An equal content is not written again: that would be a revision, and a hook at the client. */
const ensureSecret = async (
  tools: JujuTools,
  { key }: Sealer,
  relation: RelationRef,
  { label, content, known }: WantedOf,
): Promise<OwnedSecret> => {
  const fingerprint = key.fingerprint(canonical(content, (secret) => secret.reveal()));
  if (known?.fingerprint === fingerprint) return known;
  if (known !== undefined) {
    await tools.secretSet(known.id, 'application', content);
    return { ...known, fingerprint };
  }
  const id = await addSecret(tools, label, content);
  await tools.secretGrant(id, relation);
  return { id, relation: relation.id, fingerprint };
};

/** One that is there already is of the charm that was here before, or of a registry that was lost. */
const addSecret = async (tools: JujuTools, label: string, content: SecretContent): Promise<string> => {
  try {
    return await tools.secretAdd({ owner: 'application', label, content });
  } catch (cause) {
    if (!(cause instanceof ToolRefusal && cause.kind === 'labelTaken')) throw cause;
    const info = await tools.secretInfo({ label });
    if (info === null) throw cause;
    await tools.secretSet(info.id, 'application', content);
    return `secret:${info.id.replace(/^secret:/, '')}`;
  }
};

/** Of relations that are gone: their grants ended with them, and nobody else would take the secrets away. */
export const removeLeftOver = async (
  tools: JujuTools,
  found: readonly FoundClient[],
  secrets: Shared['secrets'],
  broken: { readonly relation: RelationRef; readonly ours: Bag } | null,
): Promise<Shared['secrets']> => {
  const alive = new Set(found.map(({ relation }) => relation.id));
  const leftOver = [...secrets].flatMap(([label, { relation }]) => (alive.has(relation) ? [] : [label]));
  const named = broken === null ? [] : labelsOf(broken.relation, broken.ours);
  return removeSecrets(tools, secrets, [...new Set([...leftOver, ...named])]);
};

const removeSecrets = async (
  tools: JujuTools,
  owned: Shared['secrets'],
  labels: readonly string[],
): Promise<Shared['secrets']> => {
  if (labels.length === 0) return owned;
  for (const label of labels) {
    const id = owned.get(label)?.id ?? (await tools.secretInfo({ label }))?.id;
    if (id !== undefined) await tools.secretRemove(id);
  }
  return new Map([...owned].filter(([label]) => !labels.includes(label)));
};

/** Legacy clients read one bag, of whichever unit they are pleased to: every unit writes its own. */
export const answerOfUnit = async (
  tools: JujuTools,
  reading: Reading,
  unit: UnitName,
  records: ReadonlyMap<RelationId, RelationRecord>,
): Promise<void> => {
  for (const endpoint of legacyEndpoints) {
    for (const related of await reading.of(endpoint)) {
      const databag = records.get(related.relation.id as RelationId)?.databag ?? null;
      const relation = databag === null ? null : await readPgsql(reading, related, unit, 'unit');
      if (relation === null || databag === null) continue;
      await tools.writeBag(related.relation, 'unit', pgsqlChangesFor(relation, databag));
    }
  }
};
