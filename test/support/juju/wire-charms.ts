/** Charms that do with the wire formats what a dispatch of ours does, and nothing else: no fleet, no waiting, one unit. */
import type { Databag } from '../../../src/actors/model/snapshot.ts';
import type { RelationRef } from '../../../src/infra/juju/environment.ts';
import type { SecretContent } from '../../../src/infra/juju/secret-files.ts';
import { ToolRefusal } from '../../../src/infra/juju/tool-refusal.ts';
import type { Bag, JujuTools } from '../../../src/infra/juju/tools.ts';
import type { ClientRequest, Refusal } from '../../../src/infra/juju/wire/asked.ts';
import {
  backendAnswerIn,
  backendOf,
  type BackendReading,
  backendRequest,
} from '../../../src/infra/juju/wire/backend.ts';
import { askedByPgsql, pgsqlChangesFor } from '../../../src/infra/juju/wire/pgsql.ts';
import { askedBy, changesFor, secretsFor } from '../../../src/infra/juju/wire/postgresql-client.ts';
import { type Charm, scriptedCharm } from './charm.ts';

const self = 'pgbouncer';

export interface WireProvider {
  readonly charm: Charm;
  /** Of the last hook, by relation. */
  readonly refusals: ReadonlyMap<number, readonly Refusal[]>;
}

/** `serve` makes what a request asks for, the same for the same request. */
export const wireProvider = (serve: (request: ClientRequest) => Promise<Databag | undefined>): WireProvider => {
  const refusals = new Map<number, readonly Refusal[]>();
  const served = async (requests: readonly ClientRequest[]) => {
    const answers = new Map<ClientRequest['id'], Databag>();
    for (const request of requests) {
      const databag = await serve(request);
      if (databag !== undefined) answers.set(request.id, databag);
    }
    return answers;
  };
  const answerClients = async (tools: JujuTools): Promise<void> => {
    for (const id of await tools.relationIds('database')) {
      const at = { endpoint: 'database', id };
      const theirs = await tools.readBag(at, (await tools.remoteApplication(at)) ?? '', 'application');
      const relation = {
        ...at,
        theirs: theirs ?? {},
        ours: (await tools.readBag(at, self, 'application')) ?? {},
        theirUnits: Object.values(await unitBags(tools, at)),
        hasSecrets: true,
      };
      const asked = askedBy(relation);
      refusals.set(id, asked.refusals);
      const answers = await served(asked.requests);
      const { wanted, unwanted } = secretsFor(relation, answers);
      const uris = new Map<string, string>();
      for (const { label, content } of wanted) uris.set(label, await keptSecret(tools, at, label, content));
      await tools.writeBag(at, 'application', changesFor(relation, answers, uris));
      for (const label of unwanted) await tools.secretRemove((await tools.secretInfo({ label }))?.id ?? '');
    }
  };
  const answerLegacy = async (tools: JujuTools): Promise<void> => {
    for (const id of await tools.relationIds('db')) {
      const at = { endpoint: 'db', id };
      const remoteApplication = (await tools.remoteApplication(at)) ?? '';
      const application = (await tools.readBag(at, remoteApplication, 'application')) ?? {};
      const units = await unitBags(tools, at);
      for (const scope of ['application', 'unit'] as const) {
        const ours = (await tools.readBag(at, scope === 'unit' ? `${self}/0` : self, scope)) ?? {};
        const relation = { ...at, remoteApplication, theirs: { application, units }, ours };
        const asked = askedByPgsql(relation);
        refusals.set(id, asked.refusals);
        const [answer] = (await served(asked.requests)).values();
        await tools.writeBag(at, scope, pgsqlChangesFor(relation, answer));
      }
    }
  };
  const charm = scriptedCharm(
    { name: self, provides: { database: { interface: 'postgresql_client' }, db: { interface: 'pgsql' } } },
    async ({ tools }) => {
      if (!(await tools.isLeader())) return;
      await answerClients(tools);
      await answerLegacy(tools);
    },
  );
  return { charm, refusals };
};

const unitBags = async (tools: JujuTools, at: RelationRef): Promise<Readonly<Record<string, Bag>>> => {
  const bags: [string, Bag][] = [];
  for (const unit of await tools.relationUnits(at)) bags.push([unit, (await tools.readBag(at, unit, 'unit')) ?? {}]);
  return Object.fromEntries(bags);
};

const keptSecret = async (
  tools: JujuTools,
  at: RelationRef,
  label: string,
  content: SecretContent,
): Promise<string> => {
  const info = await tools.secretInfo({ label });
  if (info !== null) {
    await tools.secretSet(info.id, 'application', content);
    return `secret:${info.id}`;
  }
  const id = await tools.secretAdd({ owner: 'application', label, content });
  await tools.secretGrant(id, at);
  return id;
};

/** What it found is kept in `readings`, the last one last. */
export const wireRequirer = (readings: BackendReading[]): Charm =>
  scriptedCharm(
    { name: self, requires: { 'backend-database': { interface: 'postgresql_client' } } },
    async ({ tools }) => {
      for (const id of await tools.relationIds('backend-database')) {
        const at = { endpoint: 'backend-database', id };
        const ours = (await tools.readBag(at, self, 'application')) ?? {};
        await tools.writeBag(at, 'application', backendRequest(ours, 'aFooC5VZJMkZq9A4'));
        const theirs = await tools.readBag(at, (await tools.remoteApplication(at)) ?? '', 'application');
        const answer = backendAnswerIn({ ...at, theirs: theirs ?? {}, ours });
        const secrets = answer.kind === 'answered' ? Object.entries(answer.secrets) : [];
        const contents: Record<string, SecretContent | null> = {};
        for (const [group, { uri, label }] of secrets)
          contents[group] = await tools.secretGet({ id: uri, label }, 'refresh').catch((cause: unknown) => {
            if (cause instanceof ToolRefusal && cause.kind === 'forbidden') return null;
            throw cause;
          });
        readings.push(backendOf(at, answer, contents));
      }
    },
  );
