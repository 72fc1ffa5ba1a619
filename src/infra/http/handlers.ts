import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Change, ChangeOutcome, FleetChange } from '../../actors/model/change.ts';
import type { Fleet, Told } from '../../actors/ports/fleet.ts';
import { type Application, unitNameOf } from '../../actors/model/ids.ts';
import { WorkloadUnavailable } from '../../actors/ports/workload.ts';
import { aboutQuerySchema, type changeAnswerSchema, type fleetSchema } from '../../api/change.ts';
import { movedSentence } from '../../api/difference-text.ts';
import { openApiDocument } from '../../api/openapi.ts';
import { type Operation, routes } from '../../api/routes.ts';
import type { Log } from '../files/log.ts';
import { parsed, sentenceOf } from './body.ts';
import { metricsText } from './metrics.ts';
import { probesOf } from './probes.ts';
import { Refusal } from './refusal.ts';
import type { Watchers } from './watchers.ts';

/** Returns what is answered as JSON; the reply is for those that answer otherwise. */
export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

export interface HandlerParts {
  readonly fleet: Fleet;
  readonly watchers: Watchers;
  readonly version: string;
  readonly log: Log;
}

/** Every operation: parse, ask the fleet, render. */
export const handlersOf = ({ fleet, watchers, version, log }: HandlerParts): Readonly<Record<Operation, Handler>> => {
  const probes = probesOf(fleet);
  const changeWith = changer(fleet, log);
  const document = openApiDocument(version);
  return {
    health: (_, reply) => probed(reply, probes.health()),
    liveness: (_, reply) => probed(reply, probes.liveness()),
    readiness: (_, reply) => probed(reply, probes.readiness()),
    leader: (_, reply) => probed(reply, probes.leader()),
    metrics: (_, reply) =>
      reply
        .type('text/plain; version=0.0.4; charset=utf-8')
        .send(metricsText(fleet.status(), version, fleet.ready().ready)),
    openApi: () => document,
    status: () => fleet.status(),
    options: () => told(fleet.options()),
    changeOptions: ({ body }) => {
      const { options, ...about } = parsed(routes.changeOptions.body, body);
      return changeWith({ type: 'setOptions', options }, about);
    },
    relations: () => fleet.status().relations,
    addBackend: ({ body }) => {
      const { author, reason, expected, name, ...backend } = parsed(routes.addBackend.body, body);
      return changeWith({ type: 'addBackend', name, ...backendOf(backend) }, { author, reason, expected });
    },
    addClient: ({ body }) => {
      const { author, reason, expected, name, ...client } = parsed(routes.addClient.body, body);
      return changeWith({ type: 'addClient', name, ...clientOf(client) }, { author, reason, expected });
    },
    compareFleet: async ({ body }) => {
      const { author: _, reason: __, expected: ___, ...fleetFile } = parsed(routes.compareFleet.body, body);
      const change = fleetChangeOf(fleetFile);
      const outcome = await fleet.compare(change);
      if (outcome.kind !== 'compared') return changeAnswer(change, outcome);
      const { version, difference, kept } = outcome;
      return { version, difference, kept };
    },
    applyFleet: ({ body }) => {
      const { author, reason, expected, ...fleetFile } = parsed(routes.applyFleet.body, body);
      return changeWith(fleetChangeOf(fleetFile), { author, reason, expected });
    },
    removeRelation: ({ params, query }) => {
      const { name } = parsed(nameSchema, params);
      return changeWith({ type: 'removeRelation', name }, parsed(aboutQuerySchema, query));
    },
    credentials: ({ params }) => {
      const { name } = parsed(nameSchema, params);
      const answer = fleet.credentials(name);
      if (answer.kind !== 'unknownClient') return told(answer);
      const known = [...answer.clients];
      throw new Refusal('unknown-client', `there is no client ${JSON.stringify(name)}${listed(known)}`, { known });
    },
    removeUnit: ({ params, query }) => {
      const { number } = parsed(unitParameters, params);
      const { force, ...about } = parsed(removeUnitQuery, query);
      const unit = unitNameOf(fleet.status().application as Application, number);
      return changeWith({ type: 'removeUnit', unit, force: isSet(force) }, about);
    },
    unit: ({ params, query }, reply) => unitView(fleet, params, query, reply),
    clients: (_, reply) => fromConsoles(reply, (signal) => fleet.clients(signal)),
    events: (_, reply) => {
      watchers.add(reply.raw);
      return reply.hijack();
    },
  };
};

type FleetFile = Omit<z.output<typeof fleetSchema>, 'author' | 'reason' | 'expected'>;

const backendOf = ({ maintenanceDatabase, ...backend }: FleetFile['backends'][string]) => ({
  ...backend,
  maintenanceDatabase: maintenanceDatabase ?? null,
});
const clientOf = ({ database, backend, extraUserRoles, ...settings }: FleetFile['clients'][string]) => ({
  database,
  backend: backend ?? null,
  extraUserRoles: extraUserRoles ?? null,
  settings,
});

const fleetChangeOf = ({ application, options, backends, clients, prune }: FleetFile): FleetChange => ({
  type: 'applyFleet',
  application: application ?? null,
  options,
  backends: mapped(backends, backendOf),
  clients: mapped(clients, clientOf),
  prune,
});

const mapped = <A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Readonly<Record<string, B>> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));

const nameSchema = z.object({ name: z.string() });

const probed = <P extends { readonly ok: boolean }>(reply: FastifyReply, probe: P): P => {
  reply.code(probe.ok ? 200 : 503);
  return probe;
};

const told = <T>(answer: Told<T>): T => {
  if (answer.kind === 'told') return answer.value;
  throw new Refusal('not-yet', answer.reason, {}, { 'retry-after': '1' });
};

const listed = (names: readonly string[]): string => (names.length === 0 ? '' : ` (there are: ${names.join(', ')})`);

interface About {
  readonly author?: string | undefined;
  readonly reason?: string | undefined;
  readonly expected?: number | undefined;
}

const changer =
  (fleet: Fleet, log: Log) =>
  async (
    change: Change,
    { author = 'api', reason = '', expected }: About,
  ): Promise<z.infer<typeof changeAnswerSchema>> => {
    const outcome = await fleet.change(change, { author, reason, expected: expected ?? null });
    log.info({ change: change.type, author, outcome: outcome.kind }, 'change asked for');
    return changeAnswer(change, outcome);
  };

const changeAnswer = (change: Change, outcome: ChangeOutcome): z.infer<typeof changeAnswerSchema> => {
  switch (outcome.kind) {
    case 'accepted':
    case 'unchanged':
      return { outcome: outcome.kind, version: outcome.version };
    case 'invalid': {
      const problems = [...outcome.problems];
      // All that can be wrong with these is what the path names.
      const reasons = problems.map(({ reason }) => reason).join('; ');
      if (change.type === 'removeRelation') throw new Refusal('unknown-relation', reasons);
      if (change.type === 'removeUnit') throw new Refusal('unknown-unit', reasons);
      throw new Refusal('invalid-input', sentenceOf(problems), { problems });
    }
    case 'refused':
      throw new Refusal('refused', outcome.reason);
    case 'moved': {
      const { version, by, since } = outcome;
      const at = new Date(outcome.at).toISOString();
      throw new Refusal('moved', movedSentence(outcome), { moved: { version, by, at, since } });
    }
    case 'unavailable':
      throw new Refusal('unavailable', outcome.reason);
  }
};

const unitParameters = z.object({
  number: z
    .string()
    .regex(/^(0|[1-9]\d{0,8})$/, 'must be the number of a unit')
    .transform(Number),
});
const flag = z.enum(['', 'true', 'false'], 'must be true or false').optional();
const unitQuery = z.strictObject({ trace: flag, pools: flag });
const removeUnitQuery = aboutQuerySchema.extend({ force: flag });

const isSet = (value: z.output<typeof flag>): boolean => value !== undefined && value !== 'false';

const unitView = async (fleet: Fleet, params: unknown, query: unknown, reply: FastifyReply) => {
  const { number } = parsed(unitParameters, params);
  const { trace, pools } = parsed(unitQuery, query);
  const { answeredBy, application, units } = fleet.status();
  const unit = units.find((one) => one.number === number);
  const known = units.map((one) => one.unit);
  if (unit === undefined)
    throw new Refusal('unknown-unit', `there is no unit ${application}/${number}${listed(known)}`, { known });
  if ((isSet(trace) || isSet(pools)) && unit.unit !== answeredBy)
    throw new Refusal(
      'other-unit',
      `the pools and decisions of ${unit.unit} are known to it alone: ask at its own socket or address`,
    );
  return {
    answeredBy,
    unit,
    ...(isSet(pools) ? { pools: await fromConsoles(reply, (signal) => fleet.pools(signal)) } : {}),
    ...(isSet(trace) ? { trace: fleet.trace() } : {}),
  };
};

const consoleMs = 5_000;

/** Ends with the connection of whoever asked. */
const fromConsoles = async <T>(reply: FastifyReply, ask: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  try {
    return await ask(AbortSignal.any([gone.signal, AbortSignal.timeout(consoleMs)]));
  } catch (cause) {
    if (cause instanceof WorkloadUnavailable) throw new Refusal('unavailable', cause.message);
    throw cause;
  }
};
