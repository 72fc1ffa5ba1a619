/**
 * The charm as it is deployed: packed, with a pod for each unit, in a Juju model and a cluster of the test, beside a real PostgreSQL
 * and charms on the libraries of others. Clients log in from a pod of their own, through the Service that the charm has made.
 */
import { execFile } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { asSuperuser } from '../../../src/infra/local/postgres.ts';
import type { Written } from '../accountant.ts';
import { issuer, ofCluster } from '../certificates.ts';
import { type Charm, charmIn } from '../juju/charm.ts';
import { type CounterpartName, Counterparts, type Told } from '../juju/counterparts.ts';
import type { ExporterProgram } from '../exporter.ts';
import { counterpartsPython } from '../juju/counterparts-python.ts';
import type { Account } from '../juju/dispatch-run.ts';
import type { RanHook } from '../juju/hook-record.ts';
import { JujuModel } from '../juju/juju-model.ts';
import type { BackendOffer } from '../juju/played-charms.ts';
import { ApiServer } from '../kubernetes/api-server.ts';
import { type PebbleProgram, pebbleProgram } from '../pebble/program.ts';
import { ProcessSightings } from '../sightings.ts';
import { packedCharm, pgbouncerBinaries, type RunningPostgres, testDirectory } from '../servers.ts';
import { Cluster, type Place, troubleWithClusters } from './cluster.ts';
import type { Lane } from './cluster-process.ts';
import { Pod } from './pod.ts';
import { type Place as Seen, placesInJuju, secretsOfJuju, secretsOn, seenSecrets } from './secrets.ts';
import { type Login, loginsIn } from './told.ts';

const application = 'pgbouncer-k8s';

/** What there must be on this machine; otherwise a sentence. */
export type GroundParts =
  | { readonly kind: 'there'; readonly python: string; readonly pgbouncer: string; readonly version: string }
  | { readonly kind: 'missing'; readonly reason: string };

export const groundParts = async (): Promise<GroundParts> => {
  const missing = (reason: string): GroundParts => ({ kind: 'missing', reason });
  const trouble = await troubleWithClusters();
  if (trouble !== null) return missing(trouble);
  const python = await counterpartsPython();
  if (python.run === null) return missing(python.reason ?? '');
  const binary = (await pgbouncerBinaries()).findLast(({ run }) => run !== null);
  if (binary?.run == null) return missing('there is no PgBouncer here');
  return { kind: 'there', python: python.run, pgbouncer: binary.run, version: binary.version };
};

export interface GroundOptions {
  readonly seed: number;
  readonly units: number;
  readonly server: RunningPostgres;
  readonly parts: Extract<GroundParts, { kind: 'there' }>;
  /** What is deployed, until `refresh` brings the packed charm; that itself unless one is given. */
  readonly before?: Charm;
  /** As whom dispatches run; root when null. */
  readonly account?: Account | null;
  /** Of metrics, in the image of the workload; none unless one is given. */
  readonly exporter?: ExporterProgram;
}

const addresses = { kubernetes: '10.96.0.1', postgres: '10.2.0.5', client: '10.1.255.1' };

export class CharmGround implements AsyncDisposable {
  readonly juju: JujuModel;
  readonly pods = new Map<string, Pod>();
  /** Units that were removed, and had not stopped what they ran. */
  readonly leftRunning: string[] = [];
  readonly kubernetes: ApiServer;
  readonly counterparts: Counterparts;
  readonly #cluster: Cluster;
  readonly #client: Place;
  readonly #home: string;
  readonly #pebble: PebbleProgram;
  readonly #options: GroundOptions;
  readonly #addressesOfServices = new Map<string, string>();
  readonly #clients = new Set<string>();
  /** Of clients in the process of the test: by whose relation, and where they come in. */
  readonly #ways: { readonly counterpart: string; readonly path: string }[] = [];
  readonly #secrets = new Map<string, string>();
  /** What each client that speaks of no secrets must be told in its bag, by the id of its relation. */
  readonly #inClear = new Map<number, ReadonlySet<string>>();
  /** What Pebbles said and were told to run, each text once, and where. */
  readonly #onPebbles = new Map<string, string>();
  /** Units by the network namespaces of their pods, those that are gone too. */
  readonly #networks = new Map<string, string>();
  readonly #sightings: ProcessSightings;
  readonly #stack: AsyncDisposableStack;
  #numbered = 0;

  private constructor(
    parts: Pick<CharmGround, 'juju' | 'kubernetes' | 'counterparts'>,
    own: { cluster: Cluster; client: Place; home: string; pebble: PebbleProgram; options: GroundOptions },
    stack: AsyncDisposableStack,
  ) {
    this.juju = parts.juju;
    this.kubernetes = parts.kubernetes;
    this.counterparts = parts.counterparts;
    this.#cluster = own.cluster;
    this.#client = own.client;
    this.#home = own.home;
    this.#pebble = own.pebble;
    this.#options = own.options;
    this.#stack = stack;
    this.#sightings = stack.use(new ProcessSightings((pid) => this.#networks.get(networkOf(pid)) ?? null));
  }

  static async open(options: GroundOptions): Promise<CharmGround> {
    await using made = new AsyncDisposableStack();
    const home = await testDirectory('g-');
    await chmod(home, 0o755);
    const cluster = made.use(await Cluster.open(join(home, 'cluster')));
    const kubernetes = made.use(await ApiServer.open(ofCluster, ofCluster.certificate));
    await cluster.lead(addresses.kubernetes, 443, kubernetes.place);
    await cluster.lead(addresses.postgres, 5432, options.server);
    const client = await cluster.place(addresses.client, [], `mount --bind ${cluster.hosts} /etc/hosts; exec cat`);
    made.defer(() => client.end());
    const juju = made.use(await JujuModel.open({ seed: options.seed }));
    const records = await mkdtemp(join(home, 'records-'));
    const counterparts = new Counterparts(options.parts.python, records);
    const pebble = await pebbleProgram();
    const own = { cluster, client, home, pebble, options };
    const ground = new CharmGround({ juju, kubernetes, counterparts }, own, made.move());
    juju.deploy(application, options.before ?? charmIn(await packedCharm()), {
      units: options.units,
      address: () => ground.#newAddress(),
      environment: () => ({ KUBERNETES_SERVICE_HOST: addresses.kubernetes, KUBERNETES_SERVICE_PORT: '443' }),
      within: async (unit, directory) => (await ground.#podOf(unit)).within(directory),
      newPod: (unit) => ground.#endPod(unit),
    });
    return ground;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const unit of [...this.pods.keys()]) await this.#endPod(unit);
    await this.#stack.disposeAsync();
  }

  get units(): readonly string[] {
    return this.juju.applications.has(application) ? this.juju.unitsOf(application) : [];
  }

  /** Word and message of each unit. */
  get statuses(): readonly string[] {
    return this.units.map((unit) => {
      const { word, message } = this.juju.unit(unit).status;
      return message === '' ? word : `${word}: ${message}`;
    });
  }

  /** Names of the secrets that there were, for sentences. */
  get secrets(): readonly string[] {
    return [...this.#secrets.keys()];
  }

  /**
   * Where secrets were seen that must not be there, in the whole life until now: sentences. Looked at are processes in pods, what Juju
   * was told and by what means, what Kubernetes was told, plans of Pebbles, what their services logged; and `others`.
   */
  async secretsSeen(others: Iterable<Seen> = []): Promise<readonly string[]> {
    await this.#rememberSecrets();
    for (const unit of this.pods.keys()) await this.#look(unit);
    const swapped = (texts: ReadonlyMap<string, string>): readonly Seen[] =>
      [...texts].map(([text, where]) => [where, text]);
    const places = [
      ...placesInJuju(this.juju, application, this.#inClear),
      ...swapped(this.#sightings.all),
      ...swapped(this.#onPebbles),
      ...others,
    ];
    return seenSecrets(places, this.#secrets);
  }

  /** Runs the hooks that are due, and lets every unit look at the state of things once more. */
  async settle(): Promise<readonly RanHook[]> {
    const ran = [...(await this.#settleOnce())];
    if (this.units.length === 0) return ran;
    this.juju.updateStatus(application);
    ran.push(...(await this.#settleOnce()));
    await this.#rememberSecrets();
    return ran;
  }

  /** What is true of the real PostgreSQL, for a charm that tells it. */
  get backend(): BackendOffer {
    return { ...this.#options.server.superuser, endpoints: `${addresses.postgres}:5432` };
  }

  /** A PostgreSQL that answers with what is true of the real one. */
  relateBackend(kind: 'backend-v0' | 'backend-v1' = 'backend-v0'): number {
    const { superuser } = this.#options.server;
    const answers = {
      resource: 'postgres',
      username: superuser.username,
      password: superuser.password.reveal(),
      endpoints: `${addresses.postgres}:5432`,
      version: '17.0',
    };
    return this.#relate('postgresql', kind, `${application}:backend-database`, 'database', { answers });
  }

  relateClient(name: string, kind: 'client-v0' | 'client-v1' | 'client-legacy', asks: readonly unknown[]): number {
    this.#clients.add(name);
    const [ours, theirs] = kind === 'client-legacy' ? ['db', 'db'] : ['database', 'database'];
    return this.#relate(name, kind, `${application}:${ours}`, theirs, { asks });
  }

  relateAuthority(): number {
    return this.#relate('authority', 'certificates', `${application}:certificates`, 'certificates', { signs: issuer });
  }

  /** What the unit of a counterpart was told, in order. */
  told(counterpart: string): Promise<readonly Told[]> {
    return this.counterparts.told(`${counterpart}/0`);
  }

  /** With what a counterpart can log in, one for each of its requests. */
  async logins(counterpart: string): Promise<readonly Login[]> {
    return loginsIn(await this.told(counterpart));
  }

  /** For clients in the process of the test: how they come in, with what a counterpart was told; to where it is told from then on. */
  async written(counterpart: string): Promise<Written> {
    const [login] = await this.logins(counterpart);
    if (login === undefined) throw new Error(`${counterpart} was not told how to log in`);
    const host = await mkdtemp(join(this.#home, 'way-'));
    this.#ways.push({ counterpart, path: join(host, `.s.PGSQL.${login.port}`) });
    await this.#leadOn(counterpart);
    return { host, port: Number(login.port), login: () => Promise.resolve(login) };
  }

  async #leadOn(counterpart: string): Promise<void> {
    const ways = this.#ways.filter((way) => way.counterpart === counterpart);
    const [login] = ways.length === 0 ? [] : await this.logins(counterpart);
    const [host = ''] = [...this.#addressesOfServices.values()];
    if (login !== undefined)
      for (const { path } of ways) await this.#cluster.enter(path, { host, port: Number(login.port) });
  }

  pod(unit: string): Pod {
    const pod = this.pods.get(unit);
    if (pod === undefined) throw new Error(`${unit} has no pod`);
    return pod;
  }

  /** To the packed charm, another one as far as Juju can tell: each pod is made anew. */
  async refresh(): Promise<void> {
    this.juju.refresh(application, charmIn(await packedCharm()));
  }

  /** Its node is gone: nobody reaches it any more, and Juju neither. */
  async lose(unit: string): Promise<void> {
    this.juju.cutOff.add(unit);
    await this.pod(unit).reach(false);
    await this.pod(unit).killWorkload();
  }

  /** Kubernetes makes a pod for it on another node. */
  async replace(unit: string): Promise<void> {
    this.juju.cutOff.delete(unit);
    await this.juju.churnPod(unit, 'cutOff');
  }

  /** Lets the cluster reach something of this machine, at an address that is nobody's. */
  async lead(address: string, port: number, to: { readonly host: string; readonly port: number }): Promise<void> {
    await this.#cluster.lead(address, port, to);
    await this.#follow();
  }

  /** What is answered there, from the pod of clients. */
  async get(url: string): Promise<string> {
    const asking = [process.execPath, '-e', `fetch(${JSON.stringify(url)}).then((a) => a.text()).then(console.log)`];
    const entered = [`--target=${this.#client.pid}`, '--net', ...asking];
    const { stdout } = await promisify(execFile)('nsenter', entered, { timeout: 30_000 });
    return stdout;
  }

  /** From the pod of clients, with libpq: the rows, without a heading. */
  async query(login: Login, sql: string): Promise<string> {
    const { host, port, username, password, database, authority } = login;
    const directory = await mkdtemp(join(this.#home, 'login-'));
    const root = join(directory, 'root.crt');
    if (authority !== undefined) await writeFile(root, authority);
    const environment = {
      PGHOST: host,
      PGPORT: port,
      PGUSER: username,
      PGPASSWORD: password,
      PGDATABASE: database,
      PGCONNECT_TIMEOUT: '10',
      ...(authority === undefined ? { PGSSLMODE: 'disable' } : { PGSSLMODE: 'verify-full', PGSSLROOTCERT: root }),
    };
    const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql];
    const entered = [`--target=${this.#client.pid}`, '--net', '--mount', ...psql];
    const { stdout } = await promisify(execFile)('nsenter', entered, {
      env: { ...process.env, ...environment },
      timeout: 30_000,
    });
    return stdout.trim();
  }

  /** Who may log in to PostgreSQL, but for the superuser. Owners of databases stay as long as those do, and may not. */
  async roles(): Promise<readonly string[]> {
    return await asSuperuser(this.#options.server, async (client) => {
      const { rows } = await client.query(
        `select rolname from pg_roles where rolcanlogin and rolname <> $1 order by 1`,
        [this.#options.server.superuser.username],
      );
      return rows.map(({ rolname }) => String(rolname));
    });
  }

  #relate(name: string, kind: CounterpartName, ours: string, theirs: string, played: Played): number {
    if (!this.juju.applications.has(name))
      this.juju.deploy(name, this.counterparts.charm(kind), this.counterparts.options(played));
    return this.juju.integrate(ours, `${name}:${theirs}`);
  }

  /** Some are gone with the pod that has them. */
  async #rememberSecrets(): Promise<void> {
    this.#secrets.set('the password of PostgreSQL', this.#options.server.superuser.password.reveal());
    for (const name of this.#clients)
      for (const { username, password } of await this.logins(name))
        this.#secrets.set(`the password of ${username}`, password);
    for (const [name, secret] of secretsOfJuju(this.juju)) this.#secrets.set(name, secret);
    for (const { id, sides } of this.juju.relations.values()) {
      const own = sides.find(({ application: { name } }) => name === application);
      const client = sides.find(({ application: { name } }) => this.#clients.has(name))?.application.name;
      if (client === undefined) continue;
      const asked = this.juju.bag(id, client);
      // The legacy interface has no other way; the newer one has, unless who asks does not ask for secrets.
      const speaksOfNone = own?.endpoint !== 'database' || !('requested-secrets' in asked || 'requests' in asked);
      if (!speaksOfNone) continue;
      const passwords = (await this.logins(client)).map(({ password }) => password);
      this.#inClear.set(id, new Set([...(this.#inClear.get(id) ?? []), ...passwords]));
    }
  }

  /** After a hook of a unit, and before its container goes. */
  async #look(unit: string): Promise<void> {
    const pod = this.pods.get(unit);
    if (pod === undefined) return;
    for (const [name, secret] of await secretsOn(unit, pod)) this.#secrets.set(name, secret);
    for (const [where, text] of await pod.told()) if (!this.#onPebbles.has(text)) this.#onPebbles.set(text, where);
    for (const service of this.kubernetes.services.values())
      this.#onPebbles.set(JSON.stringify(service), `what Kubernetes was told by ${application}`);
  }

  #settleOnce(): Promise<readonly RanHook[]> {
    return this.juju.settle({
      after: async () => {
        const { unit = '' } = this.juju.history.at(-1) ?? {};
        await this.#look(unit);
        await this.#leadOn(unit.slice(0, unit.lastIndexOf('/')));
        await this.#follow();
      },
    });
  }

  /** What Kubernetes does beside all that: pods of units that are gone end, and Services lead to pods that stay. */
  async #follow(): Promise<void> {
    const units = this.units;
    for (const [unit, pod] of this.pods) {
      if (units.includes(unit)) continue;
      if ((await pod.pgbouncers()).length > 0) this.leftRunning.push(unit);
      await this.#endPod(unit);
    }
    if (units.length === 0) this.kubernetes.services.clear();
    const staying = units.filter((unit) => this.juju.unit(unit).life === 'alive' && !this.juju.cutOff.has(unit));
    const targets = staying.flatMap((unit) => this.pods.get(unit)?.address ?? []);
    const lanes: Lane[] = [];
    for (const [key, { spec }] of this.kubernetes.services) {
      const host = await this.#addressOf(key);
      for (const { port, targetPort = port } of spec?.ports ?? [])
        lanes.push({ at: { host, port }, to: targets.map((target) => ({ host: target, port: Number(targetPort) })) });
    }
    await this.#cluster.balance(lanes);
  }

  /** Of a Service, as `namespace/name`. */
  async #addressOf(key: string): Promise<string> {
    const known = this.#addressesOfServices.get(key);
    if (known !== undefined) return known;
    const address = `10.96.1.${this.#addressesOfServices.size + 1}`;
    await this.#cluster.own(address);
    this.#addressesOfServices.set(key, address);
    const names = [...this.#addressesOfServices].map(([service, at]) => {
      const [namespace, name] = service.split('/');
      return [`${name}.${namespace}.svc.cluster.local`, at] as const;
    });
    await this.#cluster.name(new Map(names));
    return address;
  }

  async #podOf(unit: string): Promise<Pod> {
    const known = this.pods.get(unit);
    if (known !== undefined) return known;
    this.#numbered += 1;
    const home = join(this.#home, `pod-${this.#numbered}`);
    await mkdir(home);
    const name = unit.replace('/', '-');
    const pod = await Pod.start(this.#cluster, {
      name,
      address: this.juju.unit(unit).address,
      home,
      pebble: this.#pebble,
      pgbouncer: this.#options.parts.pgbouncer,
      exporter: this.#options.exporter ?? null,
      account: this.kubernetes.place.account,
      dispatchesAs: this.#options.account ?? null,
    });
    this.pods.set(unit, pod);
    this.#networks.set(networkOf(String(pod.pid)), unit);
    this.kubernetes.pods.push({
      metadata: {
        name,
        namespace: this.juju.name,
        labels: { 'app.kubernetes.io/name': application },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'StatefulSet', name: application, uid: 'uid-1', controller: true },
        ],
      },
      spec: { containers: [], nodeName: 'node-1' },
    });
    await this.#follow();
    return pod;
  }

  async #endPod(unit: string): Promise<void> {
    const pod = this.pods.get(unit);
    await this.#look(unit);
    this.pods.delete(unit);
    const at = this.kubernetes.pods.findIndex(({ metadata }) => metadata?.name === unit.replace('/', '-'));
    if (at >= 0) this.kubernetes.pods.splice(at, 1);
    await pod?.[Symbol.asyncDispose]();
  }

  #newAddress(): string {
    this.#numbered += 1;
    return `10.1.${1 + (this.#numbered >> 8)}.${this.#numbered & 255}`;
  }
}

/** Of a process. Empty: it is gone. */
const networkOf = (pid: string): string => {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
};

type Played = NonNullable<Parameters<Counterparts['options']>[0]>;
