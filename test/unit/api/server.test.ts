import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { FleetStatus } from '../../../src/actors/model/status.ts';
import { WorkloadUnavailable } from '../../../src/actors/ports/workload.ts';
import { type ErrorCode, errorCatalogue, errorSchema } from '../../../src/api/errors.ts';
import { createEventReader } from '../../../src/api/events.ts';
import { fleetStatusSchema, unitViewSchema } from '../../../src/api/status.ts';
import { parserRefusalOf } from '../../../src/infra/http/refusal.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { ask, askRaw, bearing, serve, serveTcp, tokens } from './harness.ts';

const backend = { name: 'main', endpoints: ['db1:5432'], username: 'admin', password: 'marker-password' };

const served = async (options: ConstructorParameters<typeof MemoryFleet>[0] = {}) => {
  const fleet = new MemoryFleet(options);
  const { socket, lines } = await serve(fleet.seenFrom(0));
  return { fleet, socket, lines };
};

describe('probes', () => {
  it('tell by their status alone, whether asked with GET, HEAD or OPTIONS', async () => {
    const { fleet, socket } = await served();
    const codes = async (path: string) =>
      Promise.all(['GET', 'HEAD', 'OPTIONS'].map(async (method) => (await ask(socket, method, path)).status));
    expect(await codes('/readiness')).toEqual([503, 503, 503]);
    fleet.settle();
    expect(await codes('/readiness')).toEqual([200, 200, 200]);
    expect(await codes('/liveness')).toEqual([200, 200, 200]);
    expect(await codes('/leader')).toEqual([200, 200, 200]);
    fleet.leader = 2;
    expect(await codes('/leader')).toEqual([503, 503, 503]);
    expect((await ask(socket, 'GET', '/leader')).json).toMatchObject({ ok: false, reason: 'pgbouncer/2 leads' });
    expect((await ask(socket, 'HEAD', '/leader')).text).toBe('');
    expect((await ask(socket, 'OPTIONS', '/leader')).headers.allow).toBe('GET, HEAD, OPTIONS');
  });

  it('call a unit healthy as long as its instances serve, store or no store', async () => {
    const { fleet, socket } = await served();
    fleet.settle();
    fleet.backplane = { ...fleet.backplane, state: 'unreachable', message: 'away' };
    expect((await ask(socket, 'GET', '/health')).status).toBe(200);
    const dead: FleetStatus = {
      ...fleet.status(0),
      units: fleet
        .status(0)
        .units.map((unit) => ({ ...unit, instances: unit.instances.map((one) => ({ ...one, state: 'failing' })) })),
    };
    const { socket: other } = await serve({ ...fleet.seenFrom(0), status: () => dead });
    expect((await ask(other, 'GET', '/health')).json).toMatchObject({ ok: false, reason: 'no instance serves' });
  });
});

describe('answers', () => {
  it('are the status, the options, the relations, a unit and who is connected', async () => {
    const { fleet, socket } = await served();
    fleet.settle();
    const status = await ask(socket, 'GET', '/v1/status');
    expect(status.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
    });
    expect(fleetStatusSchema.parse(status.json)).toEqual(fleet.status(0));
    expect((await ask(socket, 'GET', '/v1/config')).json).toMatchObject({ version: 0 });
    expect((await ask(socket, 'GET', '/v1/relations')).json).toEqual([]);
    const unit = await ask(socket, 'GET', '/v1/units/1');
    expect(unitViewSchema.parse(unit.json)).toEqual({ answeredBy: 'pgbouncer/0', unit: fleet.status(0).units[1] });
    expect(unitViewSchema.parse((await ask(socket, 'GET', '/v1/units/0?trace')).json).trace).toHaveLength(1);
    expect((await ask(socket, 'GET', '/v1/clients')).json).toMatchObject([{ instance: 1, database: 'orders' }]);
    expect((await ask(socket, 'GET', '/openapi.json')).json).toMatchObject({ info: { version: '1.2.3' } });
  });

  it('to Prometheus count units, instances and waits, and leave out what is not known', async () => {
    const { fleet, socket } = await served();
    const before = (await ask(socket, 'GET', '/metrics')).text;
    expect(before).not.toContain('troupe_generation_good');
    fleet.settle();
    fleet.say(0, 'lacks something', 'the "\\\n one');
    const { text, headers } = await ask(socket, 'GET', '/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = text.split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'troupe_info{application="pgbouncer",unit="pgbouncer/0",version="1.2.3"} 1',
        'troupe_leads 1',
        'troupe_leader_epoch 3',
        'troupe_generation_good 1',
        'troupe_units{status="active"} 2',
        'troupe_units{status="waiting"} 1',
        'troupe_instances{state="serving"} 2',
        'troupe_budget_connections{of="database",name="orders"} 60',
        'troupe_budget_given{of="database",name="orders"} 20',
        'troupe_budget_used{of="database",name="orders"} 7',
        'troupe_budget_held{of="database",name="orders"} 20',
        'troupe_waits 1',
        'troupe_wait_start_timestamp_seconds{id="test",kind="waiting",on="the \\"\\\\\\n one"} 1795514400',
      ]),
    );
    expect(lines).toEqual(
      expect.arrayContaining([
        'troupe_status{status="waiting"} 1',
        'troupe_status{status="active"} 0',
        'troupe_ready 1',
        'troupe_leader{leader="pgbouncer/0"} 1',
        'troupe_backplane_state{state="connected"} 1',
        'troupe_backplane_state{state="reseeding"} 0',
        'troupe_pgbouncer_info{instance="1",version="1.26.0"} 1',
      ]),
    );
    for (const said of [before, text]) expect(familiesIn(said).every((name) => name.startsWith('troupe_'))).toBe(true);
  });
});

describe('changes', () => {
  it('are asked of the fleet as they were sent, and answered with the version of the intent', async () => {
    const { fleet, socket, lines } = await served();
    const options = { pool_mode: 'transaction', max_db_connections: 60, query_timeout: null };
    const answer = await ask(socket, 'PATCH', '/v1/config', { options, author: 'alice', expected: 0 });
    expect([answer.status, answer.json]).toEqual([200, { outcome: 'accepted', version: 1 }]);
    expect(fleet.asked).toEqual([{ change: { type: 'setOptions', options }, author: 'alice', expected: 0 }]);
    expect((await ask(socket, 'PATCH', '/v1/config', { options })).json).toEqual({ outcome: 'unchanged', version: 1 });
    expect((await ask(socket, 'POST', '/v1/relations/backends', backend)).json).toMatchObject({ version: 2 });
    const client = { name: 'orders', database: 'orders', reason: 'new shop' };
    expect((await ask(socket, 'POST', '/v1/relations/clients', client)).json).toMatchObject({ version: 3 });
    expect(fleet.intent).toMatchObject({ author: 'api', reason: 'new shop', options: { pool_mode: 'transaction' } });
    expect(fleet.intent?.backends['main']?.password.reveal()).toBe('marker-password');
    expect((await ask(socket, 'DELETE', '/v1/relations/orders?author=bob&expected=3')).json).toMatchObject({
      version: 4,
    });
    expect(fleet.intent?.author).toBe('bob');
    expect(JSON.stringify(lines)).not.toContain('marker-password');
    expect(lines.filter(({ level }) => level === 'info')).toHaveLength(5);
  });

  it('serve a client its credentials, and only when they are there', async () => {
    const { fleet, socket } = await served({ held: true });
    await ask(socket, 'POST', '/v1/relations/backends', backend);
    await ask(socket, 'POST', '/v1/relations/clients', { name: 'orders', database: 'orders' });
    const early = await ask(socket, 'GET', '/v1/relations/orders/credentials');
    expect([early.status, early.headers['retry-after'], codeOf(early.json)]).toEqual([503, '1', 'not-yet']);
    fleet.settle();
    expect((await ask(socket, 'GET', '/v1/relations/orders/credentials')).json).toMatchObject({
      username: 'pgbouncer_orders_2',
      password: 's3cret',
      endpoints: ['127.0.0.11:6432', '127.0.0.12:6432', '127.0.0.13:6432'],
    });
    expect(JSON.stringify((await ask(socket, 'GET', '/v1/status')).json)).not.toContain('s3cret');
  });
});

describe('the departure of a unit', () => {
  it('is asked of the fleet by number, with force when it is to be', async () => {
    const { fleet, socket } = await served({ held: true });
    expect((await ask(socket, 'DELETE', '/v1/units/2?author=bob&reason=old')).json).toEqual({
      outcome: 'accepted',
      version: 1,
    });
    expect(fleet.asked).toEqual([
      { change: { type: 'removeUnit', unit: 'pgbouncer/2', force: false }, author: 'bob', expected: null },
    ]);
    expect((await ask(socket, 'GET', '/v1/units/2')).json).toMatchObject({ unit: { leaving: true } });
    fleet.place(1, 'silent');
    const refused = await ask(socket, 'DELETE', '/v1/units/1');
    expect([refused.status, codeOf(refused.json)]).toEqual([422, 'refused']);
    expect((await ask(socket, 'DELETE', '/v1/units/1?force')).status).toBe(200);
    expect((await ask(socket, 'DELETE', '/v1/units/9')).json).toMatchObject({ error: { code: 'unknown-unit' } });
    for (const path of ['/v1/units/2?force=yes', '/v1/units/x', '/v1/units/2?forced'])
      expect((await ask(socket, 'DELETE', path)).status).toBe(400);
  });
});

describe('errors', () => {
  const patch = (socket: string, body: unknown, headers?: Readonly<Record<string, string>>) =>
    ask(socket, 'PATCH', '/v1/config', body, headers);

  /** How each code of the catalogue is earned. */
  const ways: Readonly<
    Record<ErrorCode, (at: { fleet: MemoryFleet; socket: string }) => Promise<{ status: number; json: unknown }>>
  > = {
    'malformed-request': ({ socket }) => raw(socket, 'nonsense\r\n\r\n'),
    'invalid-input': ({ socket }) => patch(socket, { options: { no_such_option: 1, pool_mode: 'x' } }),
    unauthorized: async ({ fleet }) => ask((await serveTcp(fleet.seenFrom(0))).at, 'GET', '/v1/status'),
    forbidden: async ({ fleet }) => {
      const { at } = await serveTcp(fleet.seenFrom(0));
      return ask(at, 'GET', '/v1/relations/orders/credentials', undefined, bearing(tokens.read));
    },
    'not-found': ({ socket }) => ask(socket, 'GET', '/v2/status'),
    'unknown-unit': ({ socket }) => ask(socket, 'GET', '/v1/units/9'),
    'unknown-client': ({ socket }) => ask(socket, 'GET', '/v1/relations/nobody/credentials'),
    'unknown-relation': ({ socket }) => ask(socket, 'DELETE', '/v1/relations/nobody'),
    'other-unit': ({ socket }) => ask(socket, 'GET', '/v1/units/1?trace'),
    'method-not-allowed': ({ socket }) => ask(socket, 'PUT', '/v1/config'),
    'too-slow': async () => {
      // As Node says it after ten seconds.
      const { status, body } = parserRefusalOf(Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }));
      return { status, json: body };
    },
    moved: ({ socket }) => patch(socket, { options: { pool_mode: 'session' }, expected: 7 }),
    'too-large': ({ socket }) => patch(socket, 'x'.repeat(300_000)),
    'unsupported-media-type': ({ socket }) => patch(socket, 'options: {}', { 'content-type': 'application/yaml' }),
    refused: ({ socket }) => ask(socket, 'POST', '/v1/relations/clients', { name: 'orders', database: 'orders' }),
    'headers-too-large': ({ socket }) => raw(socket, `GET /health HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    internal: async ({ fleet }) => {
      const broken = { ...fleet.seenFrom(0), trace: () => fail('at a secret place') };
      return ask((await serve(broken)).socket, 'GET', '/v1/units/0?trace');
    },
    'not-yet': ({ fleet, socket }) => {
      fleet.isRead = false;
      return ask(socket, 'GET', '/v1/config');
    },
    unavailable: async ({ fleet }) => {
      const away = {
        ...fleet.seenFrom(0),
        clients: () => Promise.reject(new WorkloadUnavailable('no state directory')),
      };
      return ask((await serve(away)).socket, 'GET', '/v1/clients');
    },
    'too-many-watchers': async ({ socket }) => {
      const streams = Array.from({ length: 100 }, () => watch(socket));
      await Promise.all(streams.map((stream) => stream.next()));
      const answer = await ask(socket, 'GET', '/v1/events');
      await Promise.all(streams.map((stream) => stream.return(undefined)));
      return answer;
    },
  };

  it.each(Object.entries(ways))('%s comes with its status and a sentence', async (code, way) => {
    const { status, json } = await way(await served());
    const { error } = errorSchema.parse(json);
    expect(error.code).toBe(code);
    expect(status).toBe(errorCatalogue[error.code].status);
    expect(error.message).toMatch(/^[^\n]{15,500}$/);
    expect(error.message).not.toMatch(/ {2}at |node_modules|\.ts\b|Error:/);
  });

  it('name every fault of a change by path, and who was faster', async () => {
    const { fleet, socket } = await served();
    await fleet.changeBehind({ type: 'setOptions', options: { pool_mode: 'transaction' } }, 'mallory');
    const { json } = await patch(socket, { options: { no_such_option: 1, pool_mode: 'x' } });
    const { error } = errorSchema.parse(json);
    expect(error.problems?.map(({ path }) => path)).toEqual(['options.no_such_option', 'options.pool_mode']);
    const moved = errorSchema.parse((await patch(socket, { options: { pool_mode: 'session' }, expected: 0 })).json);
    expect(moved.error.moved).toMatchObject({
      version: 1,
      by: 'mallory',
      at: new Date(fleet.intent?.at ?? 0).toISOString(),
      since: {
        options: [{ key: 'pool_mode', before: null, after: 'transaction' }],
        backends: [],
        clients: [],
        departures: [],
      },
    });
    expect(moved.error.message).toMatch(/at version 1 by now, last changed by mallory at .*pool_mode: default → trans/);
    expect(fleet.intent?.options).toEqual({ pool_mode: 'transaction' });
  });

  it('of our own are logged with the incident that the answer names', async () => {
    const { socket, lines } = await serve({ ...new MemoryFleet().seenFrom(0), trace: () => fail('at a secret place') });
    const { json } = await ask(socket, 'GET', '/v1/units/0?trace');
    const [line] = lines.filter(({ level }) => level === 'error');
    expect(errorSchema.parse(json).error.message).toContain(String(line?.fields['incident']));
    expect(JSON.stringify(json)).not.toContain('secret place');
  });
});

describe('hostile bodies', () => {
  const depth = 100_000;
  it.each<[string, string | Uint8Array, number]>([
    ['not JSON', '{"options":', 400],
    ['empty', '', 400],
    ['a text', '"options"', 400],
    ['a number', '1e999', 400],
    ['deep lists', '['.repeat(depth) + ']'.repeat(depth), 400],
    ['deep objects', '{"a":'.repeat(depth / 3) + '1' + '}'.repeat(depth / 3), 400],
    ['a deep option', `{"options":{"pool_mode":${'['.repeat(1_000)}${']'.repeat(1_000)}}}`, 400],
    ['a prototype', '{"options":{"__proto__":{"pool_mode":"session"}}}', 400],
    ['a prototype beside a good option', '{"options":{"pool_mode":"transaction","__proto__":"x"}}', 400],
    ['a constructor', '{"options":{"constructor":"x"}}', 400],
    ['an infinite number', '{"options":{"max_db_connections":1e999}}', 400],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400],
    ['zero bytes', Buffer.alloc(1_000), 400],
    [
      'too many options',
      JSON.stringify({ options: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`k${i}`, 1])) }),
      400,
    ],
    ['a value too long', JSON.stringify({ options: { server_reset_query: 'x'.repeat(5_000) } }), 400],
    ['too much of it', JSON.stringify({ options: { pool_mode: 'x'.repeat(400_000) } }), 413],
  ])('%s changes nothing and is refused', async (_, body, status) => {
    const { fleet, socket } = await served();
    const answer = await ask(socket, 'PATCH', '/v1/config', body);
    expect(answer.status).toBe(status);
    expect(errorSchema.safeParse(answer.json).success).toBe(true);
    expect(answer.text.length).toBeLessThan(3_000);
    expect(fleet.intent).toBe(null);
    expect((await ask(socket, 'GET', '/liveness')).status).toBe(200);
  });

  it('with a password in another encoding are refused, not read as something else', async () => {
    const { fleet, socket } = await served();
    const body = Buffer.from(JSON.stringify({ ...backend, password: 'passé' }), 'latin1');
    const { status, json } = await ask(socket, 'POST', '/v1/relations/backends', body);
    expect([status, codeOf(json), fleet.intent]).toEqual([400, 'invalid-input', null]);
  });

  it('with a length they do not have are cut off', async () => {
    const { fleet, socket } = await served();
    const got = await askRaw(
      socket,
      'PATCH /v1/config HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n{}',
    );
    expect(got).toMatch(/^HTTP\/1\.1 413 /);
    expect(fleet.intent).toBe(null);
  });

  it.each([
    ['/v1/relations/%2e%2e%2fetc/credentials', 404],
    ['/v1/relations/%00/credentials', 404],
    [`/v1/relations/${'a'.repeat(2_000)}/credentials`, 404],
    ['/v1/relations/%zz/credentials', 400],
    ['/v1/units/-1', 400],
    ['/v1/units/01', 400],
    ['/v1/units/1e3', 400],
    ['/v1/units/0?trace=maybe', 400],
    ['/v1/status?verbose=1', 400],
    ['/v1/status/', 404],
    ['//v1/status', 404],
  ])('paths such as %s are refused', async (path, status) => {
    const { socket } = await served();
    const answer = await ask(socket, 'GET', path);
    expect(answer.status).toBe(status);
    expect(errorSchema.safeParse(answer.json).success).toBe(true);
  });
});

describe('events', () => {
  it('bring the status at once and after each change, and nothing while only time passes', async () => {
    const { fleet, socket } = await served({ held: true });
    const stream = watch(socket);
    expect((await stream.next()).value).toEqual(fleet.status(0));
    fleet.changed(); // Nothing is different.
    fleet.publish();
    expect((await stream.next()).value?.generation.published).toBe(1);
    fleet.verify(0, 1, 2);
    const last = await untilStatus(stream, ({ generation }) => generation.good === 1);
    expect(last.units.map(({ generation }) => generation.applied)).toEqual([1, 1, 1]);
    await stream.return(undefined);
    await expect.poll(() => fleet.watchers).toBe(0);
  });

  it('are not woken by ages and instants that are counted back from now', async () => {
    const fleet = new MemoryFleet({ held: true });
    fleet.say(1, 'lacks something');
    const seen = fleet.seenFrom(0);
    let age = 0;
    const aging = (status: FleetStatus): FleetStatus => ({
      ...status,
      backplane: { ...status.backplane, since: new Date(++age).toISOString() },
      units: status.units.map((unit) => ({
        ...unit,
        lastSeenMs: ++age,
        waits: unit.waits.map((wait) => ({ ...wait, since: new Date(++age).toISOString() })),
      })),
    });
    const { socket } = await serve({
      ...seen,
      status: () => aging(seen.status()),
      onStatus: (changed) => seen.onStatus((status) => changed(aging(status))),
    });
    const stream = watch(socket);
    await stream.next();
    for (let i = 0; i < 5; i++) fleet.changed();
    fleet.publish();
    expect((await stream.next()).value?.generation.published).toBe(1);
    await stream.return(undefined);
  });

  it('go on to the newest status for a reader that is slow', async () => {
    const fleet = new MemoryFleet({ units: 300, held: true });
    const { socket } = await serve(fleet.seenFrom(0));
    const asked = request({ socketPath: socket, path: '/v1/events', agent: false }).end();
    const [slow] = await once(asked, 'response');
    slow.pause();
    const quick = watch(socket);
    for (let change = 1; change <= 40; change++) {
      fleet.say(1, `change ${change}`);
      await untilStatus(quick, ({ units }) => units[1]?.message === `change ${change}`);
    }
    let text = '';
    for await (const chunk of slow.setEncoding('utf8')) {
      text += String(chunk);
      if (text.includes('"change 40"')) break;
    }
    await quick.return(undefined);
    expect(text.match(/event: status/g)?.length).toBeLessThan(40);
  });

  it('end when the server does, whoever still watches', async () => {
    const fleet = new MemoryFleet();
    const api = await serve(fleet.seenFrom(0));
    const stream = watch(api.socket);
    await stream.next();
    await api[Symbol.asyncDispose]();
    expect((await stream.next()).done).toBe(true);
    expect(fleet.watchers).toBe(0);
  });
});

/** Families of Prometheus' text format, read as strictly as Prometheus does: help, type, then its samples, each once. */
const familiesIn = (text: string): readonly string[] => {
  expect(text.endsWith('\n')).toBe(true);
  const families: string[] = [];
  const series = new Set<string>();
  for (const [index, line] of text.trimEnd().split('\n').entries()) {
    const [, comment, name = '', rest = ''] = /^(?:# (HELP|TYPE) )?([a-z_]+)(.*)$/.exec(line) ?? [];
    if (comment === 'HELP') {
      expect([families.includes(name), rest]).toEqual([false, expect.stringMatching(/^ [A-Z][^\\]+\.$/)]);
      families.push(name);
      continue;
    }
    expect([index, name]).toEqual([index, families.at(-1)]);
    if (comment === 'TYPE') expect(rest).toBe(' gauge');
    else {
      expect(rest).toMatch(
        /^(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,(?=[a-z])|(?=\})))+\})? -?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/,
      );
      const labels = `${name}${rest.slice(0, rest.lastIndexOf(' '))}`;
      expect([labels, series.has(labels)]).toEqual([labels, false]);
      series.add(labels);
    }
  }
  return families;
};

const codeOf = (json: unknown): string => errorSchema.parse(json).error.code;

const fail = (why: string): never => {
  throw new Error(why);
};

const raw = async (socket: string, bytes: string) => {
  const [head = '', body = ''] = (await askRaw(socket, bytes)).split('\r\n\r\n');
  return { status: Number(/^HTTP\/1\.1 (\d+) /.exec(head)?.[1]), json: JSON.parse(body) };
};

async function* watch(socketPath: string): AsyncGenerator<FleetStatus> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request({ socketPath, path: '/v1/events', agent: false }, resolve);
  asked.on('error', reject);
  asked.end();
  const response = (await promise).setEncoding('utf8');
  const read = createEventReader();
  try {
    for await (const chunk of response)
      for (const { data } of read(String(chunk))) yield fleetStatusSchema.parse(JSON.parse(data));
  } finally {
    response.destroy();
  }
}

const untilStatus = async (
  stream: AsyncGenerator<FleetStatus>,
  isWanted: (status: FleetStatus) => boolean,
): Promise<FleetStatus> => {
  for (;;) {
    const { value, done } = await stream.next();
    if (done) throw new Error('the stream ended');
    if (isWanted(value)) return value;
  }
};
