/** Charms that a test plays itself: they do what their interface says, and no more. */
import { Secret } from '../../../src/actors/model/secret.ts';
import { dispatchedBy, type RelationRef } from '../../../src/infra/juju/environment.ts';
import type { Bag, JujuTools } from '../../../src/infra/juju/tools.ts';
import { type Charm, type Script, scriptedCharm } from './charm.ts';

/** What the charm of PostgreSQL tells. */
export interface BackendOffer {
  readonly endpoints: string;
  readonly username: string;
  readonly password: Secret;
}
const relationIn = (environment: Parameters<Script>[0]['environment']): RelationRef | null => {
  const { event } = dispatchedBy(environment);
  return 'relation' in event && event.type !== 'relationBroken' ? event.relation : null;
};

const onLeader =
  (act: (tools: JujuTools, relation: RelationRef, self: string) => Promise<void>): Script =>
  async ({ environment, tools }) => {
    const relation = relationIn(environment);
    if (relation === null || !(await tools.isLeader())) return;
    await act(tools, relation, dispatchedBy(environment).application);
  };

/** A PostgreSQL that makes the login that is asked for. */
export const provider = ({ endpoints, username, password }: BackendOffer): Charm =>
  scriptedCharm(
    { name: 'postgresql', provides: { database: { interface: 'postgresql_client' } } },
    onLeader(async (tools, relation, self) => {
      const remote = await tools.remoteApplication(relation);
      const theirs = remote === null ? null : await tools.readBag(relation, remote, 'application');
      const ours = await tools.readBag(relation, self, 'application');
      if (theirs?.['database'] === undefined || ours?.['secret-user'] !== undefined) return;
      const label = `database.${relation.id}.user.secret`;
      const content = { username: new Secret(username), password };
      const id = await tools.secretAdd({ owner: 'application', label, content });
      await tools.secretGrant(id, relation);
      await tools.writeBag(relation, 'application', {
        database: 'postgres',
        endpoints,
        'secret-user': id,
        version: '17.0',
      });
    }),
  );

/** A client of the first `postgresql_client` or, with a bag of it, of the second. */
export const requirer = (request: Bag): Charm =>
  scriptedCharm(
    { name: 'app', requires: { database: { interface: 'postgresql_client' } } },
    onLeader((tools, relation) =>
      tools.writeBag(relation, 'application', {
        'requested-secrets': JSON.stringify(['username', 'password', 'tls', 'tls-ca', 'uris']),
        ...request,
      }),
    ),
  );

/** A client of the legacy interface. */
export const legacyRequirer = (database: string): Charm =>
  scriptedCharm(
    { name: 'legacy', requires: { db: { interface: 'pgsql' } } },
    onLeader((tools, relation) => tools.writeBag(relation, 'application', { database })),
  );

/** An authority that answers every request with the same certificate. */
export const certifier = (certificate: string, ca: string): Charm =>
  scriptedCharm(
    { name: 'authority', provides: { certificates: { interface: 'tls-certificates' } } },
    onLeader(async (tools, relation) => {
      const answers = [];
      for (const unit of await tools.relationUnits(relation)) {
        const bag = await tools.readBag(relation, unit, 'unit');
        for (const asked of JSON.parse(bag?.['certificate_signing_requests'] ?? '[]'))
          answers.push({ ...asked, certificate, ca, chain: [certificate, ca] });
      }
      await tools.writeBag(relation, 'application', { certificates: JSON.stringify(answers) });
    }),
  );
