import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { FleetStatus } from '../../../src/actors/model/status.ts';
import { aliveText } from '../../../src/api/events.ts';
import { apiAt, ApiClient } from '../../../src/infra/cli/api-client.ts';
import { socketAt } from '../../../src/infra/cli/place.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { serve, temporaryDirectory } from '../api/harness.ts';
import { fleetWithCli, runIn, said } from './harness.ts';

const { signal } = new AbortController();

describe('an API client', () => {
  it('speaks of the fleet in its own types', async () => {
    const fleet = new MemoryFleet();
    const api = apiAt((await serve(fleet.seenFrom(0))).socket);
    const password = new Secret('p');
    const backend = {
      type: 'addBackend',
      name: 'main',
      endpoints: ['a:1'],
      username: 'u',
      password,
      maintenanceDatabase: 'm',
    } as const;
    expect(await api.change(backend, signal)).toEqual({ kind: 'accepted', version: 1 });
    expect(await api.change(backend, signal)).toEqual({ kind: 'unchanged', version: 1 });
    expect(fleet.asked[0]).toMatchObject({ author: 'api', expected: null });
    const client = { type: 'addClient', name: 'orders', database: 'x y', backend: 'main', extraUserRoles: [] } as const;
    expect(await api.change(client, signal)).toMatchObject({ kind: 'invalid', problems: [{ path: 'database' }] });
    expect(await api.change({ ...client, name: 'main', database: 'x' }, signal)).toMatchObject({ kind: 'refused' });
    expect(await api.change({ type: 'removeRelation', name: 'nobody' }, signal)).toMatchObject({ kind: 'invalid' });
    const late = { author: 'a', expected: 0 };
    expect(await api.change({ type: 'removeRelation', name: 'main' }, signal, late)).toMatchObject({
      kind: 'moved',
      version: 1,
      by: 'api',
      at: fleet.intent?.at,
      since: { backends: [{ name: 'main', what: 'added' }] },
    });
    expect(await api.credentials('nobody', signal)).toEqual({ kind: 'unknownClient', clients: [] });
    expect(await api.connections(signal)).toHaveLength(1);
    expect(await api.status(signal)).toEqual(fleet.status(0));
  });

  it('names that need it are quoted on their way', async () => {
    const fleet = new MemoryFleet();
    const api = apiAt((await serve(fleet.seenFrom(0))).socket);
    const name = '../a?b=c&d#e%20ü';
    expect(
      await api.change({ type: 'removeRelation', name }, signal, { author: 'x & y', expected: null }),
    ).toMatchObject({
      kind: 'invalid',
    });
    expect(fleet.asked).toMatchObject([{ change: { name }, author: 'x & y' }]);
  });

  it('says that nobody knows when a change gets no answer, and does not ask twice', async () => {
    const { socket, requests } = await pretender((response) => void response.destroy());
    const outcome = await apiAt(socket).change({ type: 'removeRelation', name: 'a' }, signal);
    expect(outcome).toEqual({
      kind: 'unavailable',
      reason: expect.stringContaining('nobody knows whether the change was kept'),
    });
    expect(requests()).toBe(1);
  });

  it('asks a question once more when the unit is lost in between', async () => {
    const fleet = new MemoryFleet();
    const { socket: dying } = await pretender((response) => void response.destroy());
    const { socket: living } = await serve(fleet.seenFrom(1));
    const sockets = [dying, living];
    const api = new ApiClient(async () => socketAt(sockets.shift() ?? living));
    expect((await api.status(signal)).answeredBy).toBe('pgbouncer/1');
  });

  it.each([
    ['no JSON', '<html>', 'as a whole'],
    ['something else', '{"schemaVersion":2}', 'schemaVersion'],
  ])('does not believe an answer that is %s', async (_, text, where) => {
    const { socket } = await pretender((response) => void response.end(text));
    await expect(apiAt(socket).status(signal)).rejects.toThrow(`understands (${where})`);
  });
});

describe('watching', () => {
  it('goes on when the server is started again', async () => {
    const { fleet, apis, open, socketOf } = await fleetWithCli({ held: true });
    const { seen, next, away } = watch(apiAt(socketOf(0)));
    await next(() => true);
    const coming = next(({ generation }) => generation.published === 1);
    await apis[0]?.[Symbol.asyncDispose]();
    await expect.poll(() => away.length).toBeGreaterThan(1); // The stream ended, then nobody was there.
    fleet.publish();
    await open(0);
    await coming;
    expect(seen.map(({ generation }) => generation.published)).toEqual([null, 1]);
  });

  it('goes on with another unit when one is gone', async () => {
    const { fleet, apis, start } = await fleetWithCli({ held: true, units: [0, 1] });
    const started = start('config', 'pool_mode=transaction');
    await said(started, 'to publish it');
    await apis[0]?.[Symbol.asyncDispose]();
    await expect.poll(() => fleet.watchers).toBe(1);
    fleet.publish();
    fleet.verify(0, 1, 2);
    const { code, stderr } = await started.ended;
    expect([code, stderr]).toEqual([0, expect.stringContaining('looking for another unit')]);
  });

  it('takes a stream that has gone silent for dead', async () => {
    const fleet = new MemoryFleet();
    let streams = 0;
    const { socket } = await pretender((response) => {
      streams++;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: status\ndata: ${JSON.stringify({ ...fleet.status(0), application: `a${streams}` })}\n\n`);
    });
    const { next, away } = watch(new ApiClient(async () => socketAt(socket), { silenceMs: 100 }));
    await next(({ application }) => application === 'a2');
    expect(away).toEqual([expect.stringContaining('it is silent')]);
  });

  it('does not take a stream for dead that only says it is alive', async () => {
    const fleet = new MemoryFleet();
    const textOf = (application: string) =>
      `event: status\ndata: ${JSON.stringify({ ...fleet.status(0), application })}\n\n`;
    const { socket } = await pretender(async (response) => {
      response.write(textOf('first'));
      for (let i = 0; i < 15; i++) {
        await delay(40);
        response.write(aliveText);
      }
      response.write(textOf('second'));
    });
    const { next, away } = watch(new ApiClient(async () => socketAt(socket), { silenceMs: 400 }));
    await next(({ application }) => application === 'second');
    expect(away).toEqual([]);
  });

  it('ends in time although an answer in between does not come', async () => {
    const fleet = new MemoryFleet({ held: true });
    const { socket } = await pretender((response, path) => {
      if (path === '/v1/relations/clients') response.end('{"outcome":"accepted","version":1}');
      if (path === '/v1/events') response.write(`event: status\ndata: ${JSON.stringify(fleet.status(0))}\n\n`);
    });
    const words = ['integrate', 'client', 'orders', '--database', 'orders', '--timeout', '0.4', '--api', socket];
    expect(await runIn({ runDir: '/nowhere' }, ...words)).toMatchObject({ code: 5, stdout: '' });
  });

  it('ends at once when what it hears is not understood', async () => {
    const { socket } = await pretender((response) => void response.write('event: status\ndata: {}\n\n'));
    const statuses = apiAt(socket).statuses(signal, () => {});
    await expect(statuses.next()).rejects.toThrow('version of that unit');
  });
});

/** Collects statuses until the test ends. */
const watch = (api: ApiClient) => {
  const over = new AbortController();
  const seen: FleetStatus[] = [];
  const away: string[] = [];
  const statuses = api.statuses(over.signal, (reason) => void away.push(reason));
  onTestFinished(async () => {
    over.abort();
    await statuses.return(undefined);
  });
  const next = async (isWanted: (status: FleetStatus) => boolean): Promise<void> => {
    for (;;) {
      const { value, done } = await statuses.next();
      if (done) throw new Error('the statuses ended');
      seen.push(value);
      if (isWanted(value)) return;
    }
  };
  return { seen, away, next };
};

/** Something that listens like a unit and answers as it likes. */
const pretender = async (answer: (response: ServerResponse, path: string) => unknown) => {
  const socket = join(await temporaryDirectory(), 'pgbouncer-0.sock');
  let requests = 0;
  const server = createHttpServer(({ url = '' }, response) => {
    requests++;
    answer(response, url);
  });
  server.listen(socket);
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { socket, requests: () => requests };
};
