/** What the adapter relies on in its client and in the servers: an upgrade that changes one of these is noticed here. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Generation, Millis } from '../../src/actors/model/ids.ts';
import { same } from '../../src/actors/model/same.ts';
import { BackplaneUnavailable } from '../../src/actors/ports/backplane.ts';
import { Connection } from '../../src/infra/redis/connection.ts';
import { claimNumber, readObjects } from '../../src/infra/redis/scripts.ts';
import { bagOf, intentOf, recordOf, specOf } from '../support/builders.ts';
import { redisServers, type RunningRedis, useServer } from '../support/servers.ts';
import {
  about,
  createLog,
  lead,
  patienceMs,
  redisFleet,
  type RedisFleet,
  seenBy,
  ttl,
  type UnitBackplane,
  until,
  verdict,
} from './backplane-fleets.ts';
import { openProxy, type StoreProxy } from './backplane-proxy.ts';

const timed = async (what: () => Promise<unknown>): Promise<{ readonly ms: number; readonly failure: unknown }> => {
  const began = performance.now();
  const failure = await what().then(
    () => null,
    (cause: unknown) => cause,
  );
  return { ms: performance.now() - began, failure };
};

describe.each(redisServers())('the connection to %s', (_, start) => {
  const server = useServer(start);
  let fleet: RedisFleet;
  let proxy: StoreProxy;
  let connection: Connection;
  let hints = 0;
  const log = createLog();
  const connect = async (answerWithinMs?: number): Promise<void> => {
    connection = new Connection({
      url: `redis://127.0.0.1:${proxy.port}`,
      password: server().password,
      ca: null,
      name: 'test',
      answerWithinMs,
      log,
      onHint: () => {
        hints += 1;
      },
    });
    connection.listen(fleet.key('all'));
    await connection.settled();
  };
  /** As units are: with the patience of units. */
  const connectAnew = (): Promise<void> => {
    connection.close();
    return connect();
  };
  beforeEach(async () => {
    fleet = await redisFleet(server());
    proxy = await openProxy(server());
    hints = 0;
    await connect(patienceMs);
  });
  afterEach(async () => {
    connection.close();
    await proxy[Symbol.asyncDispose]();
    await fleet.end();
  });
  const count = async (): Promise<number> => Number((await fleet.admin.get(fleet.key('counter'))) ?? 0);
  const increment = (): Promise<unknown> => connection.run('count', (redis) => redis.incr(fleet.key('counter')));

  it('sends nothing while it is down, not even afterwards, and says so at once', async () => {
    proxy.swallow();
    proxy.cut();
    await until(async () => (await timed(increment)).ms < 100);
    const { ms, failure } = await timed(increment);
    expect(ms).toBeLessThan(100);
    expect(failure).toBeInstanceOf(BackplaneUnavailable);
    expect(String(failure)).toContain('cannot count: no connection to redis://127.0.0.1:');
    const { turn } = connection;
    proxy.pass();
    proxy.cut();
    await until(async () => connection.turn > turn);
    expect(await increment()).toBe(1);
  });

  it('does not send a command again whose answer was lost with the connection, and does not leave its caller waiting', async () => {
    proxy.dropReplies();
    const lost = timed(increment);
    await until(async () => (await count()) === 1);
    const { turn } = connection;
    proxy.pass();
    proxy.cut();
    const { failure } = await lost;
    expect(failure).toBeInstanceOf(BackplaneUnavailable);
    expect(failure).toMatchObject({ cause: { name: 'MaxRetriesPerRequestError' } }); // And not the end of our patience.
    await until(async () => connection.turn > turn);
    expect(await increment()).toBe(2);
  });

  it('gives up on an answer within about a second, and on the socket soon after', async () => {
    await connectAnew();
    proxy.swallow();
    const { ms, failure } = await timed(increment);
    expect(failure).toBeInstanceOf(BackplaneUnavailable);
    expect(ms).toBeLessThan(2_000);
    const opened = proxy.connections;
    const reconnected = await timed(() => until(async () => proxy.connections > opened));
    expect(ms + reconnected.ms).toBeLessThan(3_500);
    const { turn } = connection;
    proxy.pass();
    proxy.cut();
    await until(async () => connection.turn > turn);
    expect(await increment()).toBe(1);
  });

  it('keeps answers apart: after a late one, the next command gets its own', async () => {
    await connectAnew();
    proxy.holdReplies();
    expect((await timed(increment)).failure).toBeInstanceOf(BackplaneUnavailable);
    proxy.pass();
    expect(await connection.run('look', (redis) => redis.echo('mine'))).toBe('mine');
    expect(await increment()).toBe(2);
  });

  it('carries commands on the subscribed connection, and hints between them', async () => {
    await fleet.admin.publish(fleet.key('all'), '1 tag intent');
    await until(async () => {
      await increment();
      return hints > 1; // The first one came with the connection.
    });
  });

  it('listens again after a reconnect before anybody can read, and rings once for it', async () => {
    const { turn } = connection;
    const before = hints;
    proxy.cut();
    await until(async () => connection.turn > turn && hints > before);
    await fleet.admin.publish(fleet.key('all'), '2 tag intent');
    await until(async () => hints > before + 1);
  });

  it('gives the same number to a process that asks again because it heard no answer', async () => {
    await seenBy(await fleet.start(0));
    const keys = ['meta', 'idx', 'members', 'hb'].map((name) => fleet.key(name));
    const ask = () => claimNumber(connection, keys, [fleet.application, 'ab', 2, 4_000, 1, 'tag', fleet.key('all')]);
    const first = await ask();
    expect(first).toEqual({ kind: 'CLAIMED', unit: `${fleet.application}/1` });
    expect(await ask()).toEqual(first);
  });

  it('does not mix what it reads from two lives of the store', async () => {
    await seenBy(await fleet.start(0));
    const keys = [fleet.key('meta'), fleet.key('idx'), fleet.key('intent')];
    const life = (await fleet.admin.hget(fleet.key('meta'), 'inc')) ?? '';
    expect(await readObjects(connection, keys, [life, 0, ''])).toMatchObject({ kind: 'READ', objects: ['absent'] });
    expect(await readObjects(connection, keys, ['another', 0, ''])).toEqual({ kind: 'MOVED' });
  });

  it('compares everything after a reconnect, not only what the store says has changed', async () => {
    const zero = await fleet.open({ url: `redis://127.0.0.1:${proxy.port}`, password: server().password });
    await seenBy(zero);
    await zero.changeIntent(intentOf());
    await seenBy(zero);
    await fleet.admin.del(fleet.key('intent')); // By hand: no index tells of it.
    await seenBy(zero);
    expect(await fleet.admin.exists(fleet.key('intent'))).toBe(0);
    proxy.cut();
    await until(async () => (await timed(() => seenBy(zero))).failure === null);
    expect(await fleet.admin.exists(fleet.key('intent'))).toBe(1);
  });

  it('survives the loss of the server-side scripts', async () => {
    const zero = await fleet.start(0);
    await seenBy(zero);
    await fleet.admin.script('FLUSH');
    await seenBy(zero);
    expect((await lead(zero)).epoch).toBe(1);
  });

  it('reports that it is down or up once per change, not per attempt', async () => {
    await connectAnew();
    const lines = () => log.lines.filter(({ message }) => message === 'no connection to the store').length;
    const before = lines();
    proxy.swallow();
    proxy.cut();
    const opened = proxy.connections;
    await until(async () => proxy.connections > opened + 2);
    expect(lines()).toBe(before + 1);
  });
});

describe.each(redisServers())('a lost answer from %s', (_, start) => {
  const server = useServer(start);

  /** The server has seen each script, so that the first attempt of each is the one that arrives. */
  const warmUp = async (): Promise<void> => {
    const fleet = await redisFleet(server());
    const zero = await fleet.start(0);
    await seenBy(zero);
    const leadership = await lead(zero);
    await zero.renewLease(leadership, ttl);
    await zero.changeIntent(intentOf());
    await zero.publish(leadership, 0 as Generation, specOf(), about);
    await zero.judge(leadership, verdict);
    await zero.removeRelation(leadership, recordOf().id);
    await zero.writeBag(bagOf());
    await zero.removeUnit(leadership, zero.unit);
    await zero.releaseLease(leadership, null, ttl);
    await zero.leave('down');
    await fleet.end();
  };

  it('is harmless for every write: asked again, each is done once', async () => {
    await warmUp();
    const fleet = await redisFleet(server());
    const proxy = await openProxy(server());
    const zero = await fleet.open({ url: `redis://127.0.0.1:${proxy.port}`, password: server().password });
    const witness = await fleet.start(1);
    await seenBy(witness);
    await seenBy(zero);

    /** Does it with the answers dropped, sees it arrive, and asks again over a new connection. */
    const twice = async <T>(arrived: () => Promise<boolean>, ask: () => Promise<T>): Promise<T> => {
      proxy.dropReplies();
      const lost = timed(ask);
      await until(arrived);
      proxy.pass();
      proxy.cut();
      expect((await lost).failure).toBeInstanceOf(BackplaneUnavailable);
      let answer: { readonly value: T } | null = null;
      await until(async () => {
        answer = await ask().then(
          (value) => ({ value }),
          () => null,
        );
        return answer !== null;
      });
      if (answer === null) throw new Error('unreachable');
      return (answer as { readonly value: T }).value;
    };
    const revision = async () => (await fleet.admin.hget(fleet.key('meta'), 'rev')) ?? '';
    const once = async <T>(arrived: () => Promise<boolean>, ask: () => Promise<T>): Promise<T> => {
      const before = Number(await revision());
      const answer = await twice(arrived, ask);
      expect(Number(await revision())).toBe(before + 1);
      return answer;
    };

    const granted = await once(
      async () => (await seenBy(witness)).lease.holder === zero.unit,
      () => zero.acquireLease(ttl),
    );
    if (granted.kind !== 'granted') return expect.unreachable(granted.kind);
    expect(granted.epoch).toBe(1);
    const leadership = { epoch: granted.epoch, nonce: zero.nonce, holder: zero.unit, until: 0 };
    const intent = intentOf();
    expect(
      await once(
        async () => (await seenBy(witness)).intent !== null,
        () => zero.changeIntent(intent),
      ),
    ).toEqual({ kind: 'committed' });
    const published = await once(
      async () => (await seenBy(witness)).published !== null,
      () => zero.publish(leadership, 0 as Generation, specOf(), about),
    );
    expect(same(published, { kind: 'committed', published: (await seenBy(witness)).published })).toBe(true);
    expect(
      await once(
        async () => (await seenBy(witness)).verdict.covers === 1,
        () => zero.judge(leadership, verdict),
      ),
    ).toEqual({ kind: 'committed' });
    expect(
      await once(
        async () => (await seenBy(witness)).relations.length === 1,
        () => zero.writeRelation(leadership, recordOf()),
      ),
    ).toEqual({ kind: 'committed' });
    expect(
      await once(
        async () => (await seenBy(witness)).units[0]?.bag !== null,
        () => zero.writeBag(bagOf()),
      ),
    ).toEqual({ kind: 'committed' });
    expect(
      await once(
        async () => (await seenBy(witness)).relations.length === 0,
        () => zero.removeRelation(leadership, recordOf().id),
      ),
    ).toEqual({ kind: 'committed' });
    await fleet.pass(40_010);
    await seenBy(zero);
    expect(
      await once(
        async () => (await fleet.admin.hexists(fleet.key('members'), witness.unit)) === 0,
        () => zero.removeUnit(leadership, witness.unit),
      ),
    ).toEqual({ kind: 'committed' });
    await once(
      async () => (await fleet.admin.hget(fleet.key('lease'), 'x')) === '0',
      () => zero.releaseLease(leadership, null, ttl),
    );
    await once(
      async () => ((await fleet.admin.hget(fleet.key('members'), zero.unit)) ?? '').includes('down'),
      () => zero.leave('down'),
    );
    await proxy[Symbol.asyncDispose]();
    await fleet.end();
  });
});

describe.each(redisServers())('without %s', (_, start) => {
  let own: RunningRedis;
  let fleet: RedisFleet;
  let zero: UnitBackplane;
  beforeAll(async () => {
    own = await start('own');
    fleet = await redisFleet(own, 'owner');
    zero = await fleet.open({ answerWithinMs: undefined });
    await seenBy(zero);
  });
  afterAll(async () => {
    await fleet.end();
    await own.stop();
  });

  const everything = (): readonly (() => Promise<unknown>)[] => {
    const leadership = { epoch: 1 as never, nonce: zero.nonce, holder: zero.unit, until: 0 };
    return [
      () => zero.observe(),
      () => zero.acquireLease(ttl),
      () => zero.renewLease(leadership, ttl),
      () => zero.releaseLease(leadership, null, ttl),
      () => zero.changeIntent(intentOf({ version: 99 })),
      () => zero.publish(leadership, 0 as Generation, specOf(), about),
      () => zero.judge(leadership, verdict),
      () => zero.writeRelation(leadership, recordOf()),
      () => zero.removeRelation(leadership, recordOf().id),
      () => zero.removeUnit(leadership, zero.unit),
      () => zero.writeBag(bagOf({ pid: 77 })),
      () => zero.leave('down'),
    ];
  };
  const expectUnavailable = async (): Promise<void> => {
    for (const ask of everything()) {
      const { ms, failure } = await timed(ask);
      expect(failure).toBeInstanceOf(BackplaneUnavailable);
      expect(ms).toBeLessThanOrEqual(2_000);
    }
  };
  const comesBack = async (): Promise<void> => {
    const hinted = Promise.withResolvers<void>();
    using _hints = zero.onHint(hinted.resolve);
    await hinted.promise;
    await seenBy(zero);
  };

  it('frozen: every method is unavailable soon (1 s, and what a busy machine adds), and all is well again when it thaws', async () => {
    await own.freeze();
    await expectUnavailable();
    const back = comesBack();
    await own.thaw();
    await back;
  });

  it('out of memory: who leads goes on leading, and what would need memory says why it is not done', async () => {
    const leadership = await lead(zero);
    await fleet.admin.config('SET', 'maxmemory', '1');
    expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'renewed' });
    expect((await seenBy(zero)).lease.holder).toBe(zero.unit);
    await expect(zero.changeIntent(intentOf())).rejects.toThrow(/cannot change intent: .*OOM/);
    await expect(zero.publish(leadership, 0 as Generation, specOf(), about)).rejects.toThrow(/OOM/);
    await zero.releaseLease(leadership, null, 0 as Millis);
    expect((await lead(zero)).epoch).toBe(leadership.epoch + 1);
    await fleet.admin.config('SET', 'maxmemory', '0');
    expect((await seenBy(zero)).intent).toBeNull();
  });

  it('killed: every method is unavailable soon (1 s, and what a busy machine adds), what the directory knows is told, and all is well when it is back', async () => {
    expect(await zero.changeIntent(intentOf())).toEqual({ kind: 'committed' });
    await own.kill();
    await expectUnavailable();
    await zero.remember({ verified: null, waits: [] });
    const restarted = await fleet.open({ answerWithinMs: undefined });
    expect(same((await restarted.recall()).intent, intentOf())).toBe(true);
    await expect(restarted.observe()).rejects.toBeInstanceOf(BackplaneUnavailable);
    await own.startAgain();
    await until(async () => (await timed(() => restarted.observe())).failure === null);
    expect((await seenBy(restarted)).intent?.version).toBe(1);
    zero = restarted;
  });
});
