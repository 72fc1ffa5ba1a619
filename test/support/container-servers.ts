import { setTimeout as delay } from 'node:timers/promises';
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import type { Secret } from '../../src/actors/model/secret.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { randomPassword } from '../../src/infra/local/owned-file.ts';
import { type Login, postgresVersion } from '../../src/infra/local/postgres.ts';
import { redisVersion } from '../../src/infra/local/redis.ts';
import type { Provider, TestServer } from './test-server.ts';

/** The servers of the public images, each in a container of its own with these labels. */
export const containerServers = (labels: Labels): readonly Provider[] => [
  { name: 'redis:8', kind: 'redis', start: () => redis('redis:8', 'redis-server', labels) },
  { name: 'valkey/valkey:8', kind: 'redis', start: () => redis('valkey/valkey:8', 'valkey-server', labels) },
  { name: 'postgres:17', kind: 'postgres', start: () => postgres('postgres:17', labels) },
];

type Labels = Readonly<Record<string, string>>;

const redis = async (image: string, program: string, labels: Labels): Promise<TestServer> => {
  const password = randomPassword();
  const file = ['appendonly yes', 'appendfsync no', 'save ""'];
  const config = ['bind *', 'protected-mode no', `requirepass ${password.reveal()}`, ...file, ''];
  const container = new LoopbackContainer(image, labels)
    .withCopyContentToContainer([{ content: config.join('\n'), target: '/tmp/redis.conf', mode: 0o644 }])
    .withCommand([program, '/tmp/redis.conf'])
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/));
  return serverIn(container, { image, port: 6379, username: 'default', password }, (port) =>
    redisVersion(loopback, port, password),
  );
};

const postgres = async (image: string, labels: Labels): Promise<TestServer> => {
  const superuser = { username: 'postgres', password: randomPassword() };
  const container = new LoopbackContainer(image, labels)
    .withCopyContentToContainer([{ content: superuser.password.reveal(), target: '/tmp/password', mode: 0o644 }])
    .withCopyContentToContainer([
      { content: forStandbys, target: '/docker-entrypoint-initdb.d/standbys.sh', mode: 0o755 },
    ])
    .withEnvironment({ POSTGRES_PASSWORD_FILE: '/tmp/password', POSTGRES_INITDB_ARGS: '--no-sync' })
    .withCommand(postgresCommand)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2)); // The first one is for the set-up scripts.
  return postgresIn(container, { image, superuser, labels });
};

interface PostgresImage {
  readonly image: string;
  readonly superuser: Login;
  readonly labels: Labels;
}

const postgresCommand = ['postgres', '-c', 'fsync=off', '-c', 'max_connections=250'];
const forStandbys = 'echo "host replication all all scram-sha-256" >>"$PGDATA/pg_hba.conf"\n';

const postgresIn = async (container: LoopbackContainer, about: PostgresImage): Promise<TestServer> => {
  const { image, superuser } = about;
  const server = await serverIn(container, { image, port: 5432, ...superuser }, (port) =>
    postgresVersion({ host: loopback, port, superuser }),
  );
  return { ...server, startStandby: async () => standby(about, await server.addressInside()) };
};

/** Copies its primary when it is started for the first time. */
const standby = (about: PostgresImage, primary: string): Promise<TestServer> => {
  const { image, superuser, labels } = about;
  const copy = 'gosu postgres pg_basebackup -D "$PGDATA" -h "$PRIMARY" -U postgres -R -c fast --no-sync';
  const empty = 'install -d -o postgres -g postgres -m 700 "$PGDATA"';
  const first = `PGPASSWORD=$(cat /tmp/password); export PGPASSWORD; ${empty}; ${copy}; unset PGPASSWORD`;
  const script = `[ -s "$PGDATA/PG_VERSION" ] || { ${first}; }; exec docker-entrypoint.sh "$@"`;
  const container = new LoopbackContainer(image, labels)
    .withCopyContentToContainer([{ content: superuser.password.reveal(), target: '/tmp/password', mode: 0o644 }])
    .withEnvironment({ PRIMARY: primary })
    .withEntrypoint(['sh', '-ec', script, 'sh'])
    .withCommand(postgresCommand)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept read-only connections/));
  return postgresIn(container, about);
};

const loopback = '127.0.0.1';

/** Published on the loopback interface only, at a port that stays the same when the container is started again. */
class LoopbackContainer extends GenericContainer {
  constructor(image: string, labels: Labels) {
    super(image);
    this.withLabels(labels);
  }

  publish(containerPort: number, hostPort: number): this {
    const inside = `${containerPort}/tcp`;
    this.withExposedPorts({ container: containerPort, host: hostPort });
    this.hostConfig.PortBindings = { [inside]: [{ HostIp: loopback, HostPort: String(hostPort) }] };
    return this;
  }
}

interface Inside {
  readonly image: string;
  readonly port: number;
  readonly username: string;
  readonly password: Secret;
}

interface ServerInContainer extends TestServer {
  /** Of the container, as others on its network see it. */
  addressInside(): Promise<string>;
}

const serverIn = async (
  container: LoopbackContainer,
  { image, port: inside, username, password }: Inside,
  ask: (port: number) => Promise<string>,
): Promise<ServerInContainer> => {
  const port = await freePort([loopback]);
  const started = await container
    .publish(inside, port)
    .withAutoCleanup(false) // That would need one more image; the process that starts containers removes them.
    .start();
  const raw = (await getContainerRuntimeClient()).container.getById(started.getId());
  return {
    label: `${await untilAnswered(() => ask(port))} (${image})`,
    host: loopback,
    port,
    username,
    password,
    freeze: async () => void (await raw.pause()),
    thaw: async () => void (await raw.unpause()),
    kill: async () => {
      await raw.unpause().catch(() => {}); // It is not frozen; the engine kills nothing that is.
      await raw.kill();
      await raw.wait();
    },
    startAgain: async () => {
      await raw.start();
      await untilAnswered(() => ask(port));
    },
    stop: async () => void (await raw.remove({ force: true, v: true })),
    log: async () => String(await raw.logs({ stdout: true, stderr: true, follow: false })),
    addressInside: async () => (await raw.inspect()).NetworkSettings.Networks['bridge']?.IPAddress ?? '',
  };
};

const untilAnswered = async (ask: () => Promise<string>): Promise<string> => {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await ask();
    } catch (cause) {
      if (performance.now() > deadline) throw cause;
      await delay(50);
    }
  }
};
