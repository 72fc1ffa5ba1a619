import { setTimeout as delay } from 'node:timers/promises';
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import type { Secret } from '../../src/actors/model/secret.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { randomPassword } from '../../src/infra/local/owned-file.ts';
import { postgresVersion } from '../../src/infra/local/postgres.ts';
import { redisVersion } from '../../src/infra/local/redis.ts';
import { ownedByUs } from './container-owner.ts';
import type { Provider, TestServer } from './test-server.ts';

/** The servers of the public images, each in a container of its own. */
export const containerServers: readonly Provider[] = [
  { name: 'redis:8', kind: 'redis', start: () => redis('redis:8', 'redis-server') },
  { name: 'valkey/valkey:8', kind: 'redis', start: () => redis('valkey/valkey:8', 'valkey-server') },
  { name: 'postgres:17', kind: 'postgres', start: () => postgres('postgres:17') },
];

const redis = async (image: string, program: string): Promise<TestServer> => {
  const password = randomPassword();
  const config = ['bind *', 'protected-mode no', `requirepass ${password.reveal()}`, 'appendonly yes', 'save ""', ''];
  const container = new LoopbackContainer(image)
    .withCopyContentToContainer([{ content: config.join('\n'), target: '/tmp/redis.conf', mode: 0o644 }])
    .withCommand([program, '/tmp/redis.conf'])
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/));
  return serverIn(container, { image, port: 6379, username: 'default', password }, (port) =>
    redisVersion(loopback, port, password),
  );
};

const postgres = async (image: string): Promise<TestServer> => {
  const superuser = { username: 'postgres', password: randomPassword() };
  const container = new LoopbackContainer(image)
    .withCopyContentToContainer([{ content: superuser.password.reveal(), target: '/tmp/password', mode: 0o644 }])
    .withEnvironment({ POSTGRES_PASSWORD_FILE: '/tmp/password', POSTGRES_INITDB_ARGS: '--no-sync' })
    .withCommand(['postgres', '-c', 'fsync=off', '-c', 'max_connections=200'])
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2)); // The first one is for the set-up scripts.
  return serverIn(container, { image, port: 5432, ...superuser }, (port) =>
    postgresVersion({ host: loopback, port, superuser }),
  );
};

const loopback = '127.0.0.1';

/** Published on the loopback interface only, at a port that stays the same when the container is started again. */
class LoopbackContainer extends GenericContainer {
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

const serverIn = async (
  container: LoopbackContainer,
  { image, port: inside, username, password }: Inside,
  ask: (port: number) => Promise<string>,
): Promise<TestServer> => {
  const port = await freePort([loopback]);
  const started = await container
    .publish(inside, port)
    .withLabels(ownedByUs())
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
      await raw.kill();
      await raw.wait();
    },
    startAgain: async () => {
      await raw.start();
      await untilAnswered(() => ask(port));
    },
    stop: async () => void (await raw.remove({ force: true, v: true })),
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
