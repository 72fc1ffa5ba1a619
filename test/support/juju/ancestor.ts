/**
 * The charm in whose place ours comes, as far as anybody else can see it: what it writes into bags and secrets, and what it makes in
 * PostgreSQL. It answers at once, and knows neither waiting nor trouble.
 */
import { createHash } from 'node:crypto';
import { Secret } from '../../../src/actors/model/secret.ts';
import { dispatchedBy, type RelationRef } from '../../../src/infra/juju/environment.ts';
import type { Bag, JujuTools } from '../../../src/infra/juju/tools.ts';
import type { AncestorsClient } from '../ancestors-postgres.ts';
import { type Charm, charmIn } from './charm.ts';

export interface AncestorOptions {
  /** In PostgreSQL. */
  readonly serve?: (client: AncestorsClient) => Promise<void>;
  readonly port?: number;
  readonly host?: string;
  /** With what its units serve TLS, all alike, when they are related to an authority. */
  readonly tls?: { readonly key: string; readonly certificate: string; readonly authority: string };
}

/** What stands in a secret where the client asks for it. */
const userFields = ['username', 'password', 'uris', 'read-only-uris'];

export const ancestorCharm = (options: AncestorOptions = {}): Charm => ({
  ...charmIn('deploy/charm'),
  body: {
    script: async ({ environment, tools }) => {
      const { unit, application, model, event } = dispatchedBy(environment);
      const [peers] = event.type === 'install' ? [] : await tools.relationIds('pgb-peers');
      if (peers === undefined) return;
      const at = { endpoint: 'pgb-peers', id: peers };
      const answering = new Answering(tools, { unit, application, model: model.name }, options);
      if (await tools.isLeader()) await answering.all(at);
      if (options.tls !== undefined) await askForCertificate(tools, unit, options.tls);
      const config = (await tools.readBag(at, application, 'application'))?.['pgb_dbs_config'];
      // Of its refreshes: whoever comes back goes on from there.
      const [upgrade] = await tools.relationIds('upgrade');
      if (upgrade !== undefined) {
        await tools.writeBag({ endpoint: 'upgrade', id: upgrade }, 'unit', { state: 'idle' });
        if (await tools.isLeader())
          await tools.writeBag({ endpoint: 'upgrade', id: upgrade }, 'application', { dependencies: '{}' });
      }
      const hash = createHash('shake128', { outputLength: 16 })
        .update(config ?? '{}')
        .digest('hex');
      await tools.writeBag(at, 'unit', { container_initialised: 'True', userlist_nonce: 'aB3x', pgb_dbs: hash });
    },
  },
});

/** The text of a request is all that anybody looks at here. */
export const signingRequestOf = (unit: string): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(unit).toString('base64')}\n-----END CERTIFICATE REQUEST-----`;

const askForCertificate = async (
  tools: JujuTools,
  unit: string,
  { key, certificate, authority }: NonNullable<AncestorOptions['tls']>,
): Promise<void> => {
  const [id] = await tools.relationIds('certificates');
  const label = `pgb-peers.${unit.split('/')[0] ?? ''}.unit`;
  if (id === undefined || (await tools.secretInfo({ label })) !== null) return;
  const request = signingRequestOf(unit);
  const content = { key, csr: request, cert: certificate, cauth: authority, chain: `${certificate}\n${authority}` };
  const secrets = Object.entries(content).map(([name, value]) => [name, new Secret(value)] as const);
  await tools.secretAdd({ owner: 'unit', label, content: Object.fromEntries(secrets) });
  await tools.writeBag({ endpoint: 'certificates', id }, 'unit', {
    certificate_signing_requests: JSON.stringify([{ certificate_signing_request: request }]),
  });
};

interface Self {
  readonly unit: string;
  readonly application: string;
  readonly model: string;
}

class Answering {
  readonly #tools: JujuTools;
  readonly #self: Self;
  readonly #options: AncestorOptions;
  readonly #served: Record<string, unknown> = {};

  constructor(tools: JujuTools, self: Self, options: AncestorOptions) {
    this.#tools = tools;
    this.#self = self;
    this.#options = options;
  }

  async all(peers: RelationRef): Promise<void> {
    const { application } = this.#self;
    const [backend] = await this.#tools.relationIds('backend-database');
    if (backend === undefined) return;
    await this.#tools.writeBag({ endpoint: 'backend-database', id: backend }, 'application', {
      database: 'pgbouncer',
      'extra-user-roles': 'SUPERUSER',
      'requested-secrets': JSON.stringify([...userFields.slice(0, 2), 'tls', 'tls-ca', 'uris']),
      'provided-secrets': JSON.stringify(['mtls-cert']),
    });
    for (const id of await this.#tools.relationIds('database')) await this.#answer({ endpoint: 'database', id });
    for (const endpoint of ['db', 'db-admin'])
      for (const id of await this.#tools.relationIds(endpoint)) await this.#answerLegacy({ endpoint, id });
    await this.#tools.writeBag(peers, 'application', {
      pgb_dbs_config: JSON.stringify(this.#served),
      current_port: String(this.#port),
    });
    const label = `pgb-peers.${application}.app`;
    if ((await this.#tools.secretInfo({ label })) !== null) return;
    const login = `"pgbouncer_auth_relation_id_${backend}" "md5fb6e"`;
    await this.#tools.secretAdd({
      owner: 'application',
      label,
      content: {
        'auth-file': new Secret(login),
        'admin-password': new Secret('admin'),
        'monitoring-password': new Secret('m'),
      },
    });
  }

  get #port(): number {
    return this.#options.port ?? 6432;
  }

  get #host(): string {
    const { application, model } = this.#self;
    return this.#options.host ?? `${application}-service.${model}.svc.cluster.local`;
  }

  /** Its library answers a request once; of a client that speaks the second version it only notes what it saw. */
  async #answer(at: RelationRef): Promise<void> {
    const { theirs, ours } = await this.#bags(at);
    const { data: _, ...copy } = theirs;
    const { database } = theirs;
    if (Object.keys(copy).length > 0) await this.#tools.writeBag(at, 'application', { data: JSON.stringify(copy) });
    if (database === undefined) return;
    this.#served[at.id] = { name: database, legacy: false };
    const roles = (theirs['extra-user-roles'] ?? '').toLowerCase().split(',');
    if (['superuser', 'createdb'].some((role) => roles.includes(role)))
      this.#served['*'] = { name: '*', auth_dbname: database, legacy: false };
    if (ours['database'] !== undefined) return;
    const [username, password] = [`relation_id_${at.id}`, `kept-of-${at.id}`];
    await this.#options.serve?.({ database, username, password: new Secret(password), attributes: roles.join(' ') });
    const endpoints = `${this.#host}:${this.#port}`;
    const uri = `postgresql://${username}:${password}@${endpoints}/${database}`;
    const answer: Bag = { username, password, uris: uri, tls: 'False', 'tls-ca': '' };
    const requested: readonly string[] = JSON.parse(theirs['requested-secrets'] ?? '[]');
    const reads = requested.includes('read-only-uris') ? { 'read-only-uris': `${uri}_readonly` } : {};
    await this.#publish(at, { ...answer, ...reads }, requested);
    await this.#tools.writeBag(at, 'application', {
      database,
      endpoints,
      'read-only-endpoints': endpoints,
      version: '14.12',
    });
  }

  async #publish(at: RelationRef, answer: Bag, requested: readonly string[]): Promise<void> {
    const groups = { user: userFields, tls: ['tls', 'tls-ca'] };
    for (const [group, fields] of Object.entries(groups)) {
      const values = Object.entries(answer).filter(([field]) => fields.includes(field));
      if (!fields.some((field) => requested.includes(field))) {
        await this.#tools.writeBag(at, 'application', Object.fromEntries(values));
        continue;
      }
      const content = Object.fromEntries(values.map(([field, value]) => [field, new Secret(value)]));
      const label = `${at.endpoint}.${at.id}.${group}.secret`;
      const id = await this.#tools.secretAdd({ owner: 'application', label, content });
      await this.#tools.secretGrant(id, at);
      await this.#tools.writeBag(at, 'application', { [`secret-${group}`]: id });
    }
  }

  async #answerLegacy(at: RelationRef): Promise<void> {
    const { application, model, unit } = this.#self;
    const { theirs, ours, remote } = await this.#bags(at);
    const { database } = theirs;
    if (database === undefined) return;
    this.#served[at.id] = { name: database, legacy: true };
    if (at.endpoint === 'db-admin') this.#served['*'] = { name: '*', auth_dbname: database, legacy: false };
    const user = `${application}_user_${at.id}_${model}`.replaceAll('-', '_');
    const password = `kept-of-${at.id}`;
    const attributes = at.endpoint === 'db-admin' ? 'SUPERUSER' : '';
    if (ours['user'] === undefined)
      await this.#options.serve?.({ database, username: user, password: new Secret(password), attributes });
    const connection = (dbname: string): string =>
      `host=${this.#host} dbname=${dbname} port=${this.#port} user=${user} password=${password} fallback_application_name=${remote}`;
    const units = await this.#tools.relationUnits(at);
    const subnets = await Promise.all(
      units.map(async (one) => (await this.#tools.readBag(at, one, 'unit'))?.['egress-subnets'] ?? ''),
    );
    const answer: Bag = {
      'allowed-subnets': subnets.join(','),
      'allowed-units': units.join(','),
      database,
      host: this.#host,
      port: String(this.#port),
      user,
      password,
      master: connection(database),
      standbys: connection(`${database}_standby`),
      state: 'master',
      version: '14.12',
    };
    // A unit that never led has an empty bag.
    await this.#tools.writeBag(at, 'application', answer);
    await this.#tools.writeBag(at, 'unit', {
      ...answer,
      'allowed-units': units.filter((one) => one !== unit).join(','),
    });
  }

  async #bags(at: RelationRef): Promise<{ readonly theirs: Bag; readonly ours: Bag; readonly remote: string }> {
    const remote = (await this.#tools.remoteApplication(at)) ?? '';
    const theirs = (await this.#tools.readBag(at, remote, 'application')) ?? {};
    // Of the legacy interface clients write their units' bags, some of them.
    const [unit] = await this.#tools.relationUnits(at);
    const itsUnit =
      unit === undefined || at.endpoint === 'database' ? {} : ((await this.#tools.readBag(at, unit, 'unit')) ?? {});
    const ours = (await this.#tools.readBag(at, this.#self.application, 'application')) ?? {};
    return { theirs: { ...itsUnit, ...theirs }, ours, remote };
  }
}
