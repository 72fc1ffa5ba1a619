/**
 * One dispatch of the charm: environment → event → hook → the same actors as everywhere, on the backplane that Juju is → settled →
 * written → exit code. Trouble that is to be expected is a status and exit 0; a defect is exit 1, and nothing of what was decided is
 * stored, so that Juju runs the hook again.
 */
import { hostname, networkInterfaces } from 'node:os';
import { type Running, runOnNact } from '../actors/kit/on-nact.ts';
import type { Hook } from '../actors/model/hook.ts';
import type { Intent } from '../actors/model/intent.ts';
import type { Secret } from '../actors/model/secret.ts';
import type { TlsMaterial } from '../actors/model/workload.ts';
import { lack } from '../actors/model/wait-catalogue.ts';
import { type Millis, unitNumberOf } from '../actors/model/ids.ts';
import type { Clock } from '../actors/ports/clock.ts';
import type { Credentials } from '../actors/ports/credentials.ts';
import type { Postgres } from '../actors/ports/postgres.ts';
import type { Workload } from '../actors/ports/workload.ts';
import { fleetStatusOf } from '../actors/unit/fleet-status.ts';
import { ownCertificate } from '../infra/juju/certificates.ts';
import { JujuBackplane } from '../infra/juju/backplane/backplane.ts';
import { UnitView } from '../infra/juju/backplane/unit-view.ts';
import { confirmingAction } from '../infra/juju/backplane/kept-limit.ts';
import type { KubernetesApi } from '../infra/kubernetes/api.ts';
import { type Dispatched, type JujuEvent, podNameOf } from '../infra/juju/environment.ts';
import { JujuLog } from '../infra/juju/log.ts';
import { serverOf } from '../infra/postgres/endpoint.ts';
import { ToolRefusal } from '../infra/juju/tool-refusal.ts';
import type { JujuTools, StatusWord } from '../infra/juju/tools.ts';
import { featuresOf } from '../infra/juju/version.ts';
import { version } from '../version.ts';
import type { Telemetry } from '../infra/pebble/telemetry.ts';
import { createCast, type UnitCast } from './cast.ts';
import { makeService, type ServiceMade } from './charm-service.ts';
import { type HookEvent, hookOf, occasionOf } from './charm-hooks.ts';
import type { ServerAddress } from './charm-settled.ts';
import type { Settling } from './charm-settling.ts';
import type { DispatchTrace } from './charm-trace.ts';
import { serveWatchers, type WatchedParts } from './charm-watchers.ts';

export interface DispatchParts {
  readonly dispatched: Dispatched;
  readonly tools: JujuTools;
  readonly workload: Workload;
  readonly postgres: Postgres;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** PgBouncers of this unit. */
  readonly instances: number;
  /** Host under which clients within the cluster reach the application. */
  readonly advertise: string;
  /** Null outside of Kubernetes, where nobody has to make that host. */
  readonly kubernetes?: KubernetesApi | null;
  /** Also of the adapters; written when the dispatch ends. */
  readonly log: JujuLog;
  /** Where the workload finds the certificate of this unit. */
  readonly tls?: { material: TlsMaterial | null };
  /** Left out, nobody outside is told how the workload does. */
  readonly telemetry?: Telemetry;
  /** Left out, nobody is told what a dispatch did. */
  readonly trace?: DispatchTrace;
  /** Left out, later dispatches do not know whether there was anything to do. */
  readonly settling?: Settling;
}

/** Juju's word about leadership is good for 30 s. */
const leaseTtlMs = 25_000;
/** What is under way when it is over is taken up by the next hook. */
const longestMs = 45_000;
/** A pod is given 30 s to end. */
const stopMs = 26_000;
const drainDelayMs = 1_000;
const drainDeadlineMs = 15_000;
/** Something that went wrong and may go better in a moment is worth so much waiting, and no more: there will be other hooks. */
const patienceMs = 3_000;
/** Nothing is tried again sooner. */
const shortestWaitMs = 50;
const exitDefect = 1;

export const runDispatch = async (parts: DispatchParts): Promise<number> => {
  const { log, tools, trace, settling } = parts;
  const code = await codeOf(parts);
  await trace?.end(code);
  await log.write(tools);
  if (code === 0) await settling?.end();
  return code;
};

const codeOf = async (parts: DispatchParts): Promise<number> => {
  try {
    return await dispatch(parts, parts.dispatched.event);
  } catch (cause) {
    parts.log.error(cause instanceof ToolRefusal ? { reason: cause.message } : { err: cause }, 'this hook failed');
    return exitDefect;
  }
};

const dispatch = async (parts: DispatchParts, event: JujuEvent): Promise<number> => {
  const { dispatched, tools, log } = parts;
  if (event.type === 'ignored') return 0;
  if (event.type === 'secretRemove') {
    // Of a secret without a label nobody knows whose it was, and before this could be done safely it took other revisions along.
    const isSafe = event.label !== null && featuresOf(dispatched.version).revisionRemoval;
    if (isSafe) await tools.secretRemove(event.id, event.revision);
    return 0;
  }
  if (event.type !== 'action') return runHook(parts, event);
  if (actions.has(event.name)) return runHook(parts, { type: 'updateStatus' });
  log.warn({ action: event.name }, 'there is no such action');
  await tools.actionFail(`there is no action ${event.name}`);
  return 0;
};

const runHook = async (parts: DispatchParts, event: HookEvent): Promise<number> => {
  const { dispatched, tools, workload, postgres, credentials, clock, instances, advertise, log, settling } = parts;
  settling?.begin();
  const { unit: self, application, model } = dispatched;
  const hook = hookOf(event, self);
  const occasion = occasionOf(dispatched.event, self);
  const view = new UnitView({
    tools,
    unit: self,
    model: model.uuid,
    instances,
    features: featuresOf(dispatched.version),
    occasion,
    clock,
    log,
  });
  await using backplane = new JujuBackplane(view);
  const traced = await view.traceLocation();
  parts.trace?.goTo(traced);
  const service = await serviceOf(parts, view, occasion.relationsAnew || event.type === 'updateStatus');
  const certificate = await certificateOf(parts, view);
  if (parts.tls !== undefined) parts.tls.material = certificate.material;
  const cast = createCast(
    {
      application,
      self,
      nonce: await view.leaderNonce(),
      // One for each hook: it tells nobody anything, and would be news every time.
      pid: 0,
      version,
      advertise,
      endpoints: service?.endpoints ?? null,
      leaseTtlMs,
      drainDelayMs,
      drainDeadlineMs,
      departureGraceMs: Number.POSITIVE_INFINITY,
      leaveAs: 'down',
      // Whoever hears of it is started for that.
      usageMs: null,
      // Juju itself keeps the roster.
      rejoinMs: 0,
      observeOnly: null,
    },
    { backplane, workload, postgres, credentials, callers: { answer: () => {} } },
  );
  const defects: { readonly actor: string; readonly cause: unknown }[] = [];
  const running = runOnNact(cast, {
    clock,
    onDefect: (actor, cause) => defects.push({ actor, cause }),
    ...(settling === undefined ? {} : { trace: settling.trace }),
  });
  try {
    const { memory, intent, published, losses } = await backplane.recall();
    const wall = clock.wall();
    running.send(
      ['config', { type: 'recalled', memory, published, wall }],
      ['client', { type: 'recalled', memory, published, wall }],
      ['unit', { type: 'recalled', memory, losses, wall }],
      ['workload', { type: 'recalled', verified: memory.verified, published }],
      [
        'unit',
        {
          type: 'platformTold',
          lacks: [...(await view.lacks()), ...certificate.lacks, ...(service?.lacks ?? [])],
          remarks: await view.remarks(),
        },
      ],
      ['unit', { type: 'hookArrived', hook }],
      ['unit', { type: 'ticked', wall }],
    );
    using _hints = backplane.onHint(() => running.send(['unit', { type: 'hinted' }]));
    using _exits = workload.onExit((instance, how) =>
      running.send(['unit', { type: 'instanceExited', instance, how }]),
    );
    const unsettled = await settled(running, hook, clock, () => defects.length > 0);
    if (unsettled.length > 0) log.warn({ effects: unsettled }, 'this hook ends before everything was done');
    if (
      isAtRest(running) &&
      traced === null &&
      onlyLooks.has(dispatched.event.type) &&
      (await view.lastState()).knowsAll
    )
      settling?.settle(certificate.dueAt, serversOf(intent));
  } finally {
    await running.stop();
  }
  for (const { actor, cause } of defects)
    log.error({ actor, ...(cause instanceof ToolRefusal ? { reason: cause.message } : { err: cause }) }, 'defect');
  if (defects.length > 0) return exitDefect;
  const { event: asked } = dispatched;
  if (asked.type === 'action') await answerAction(asked.name, running, view, parts);
  const watchers = await serveWatchers(heeded(parts), view);
  const status = await setStatus(running, event, view, tools);
  await backplane.flush({
    status,
    watchers,
    hasCertificate: certificate.isKept,
    ...(service === null ? {} : { service: service.applied }),
  });
  return 0;
};

const keyAction = 'set-tls-private-key';
/** Each is a look at everything, and what is told of it. */
const actions: ReadonlySet<string> = new Set([
  'status',
  'pre-upgrade-check',
  'resume-upgrade',
  keyAction,
  confirmingAction,
]);

const isForKey = ({ event }: Dispatched): boolean => event.type === 'action' && event.name === keyAction;

/** The key that an operator wants this unit to have; without one in the parameters a new one is made. Null: nobody asks. */
const keyGiven = async ({ dispatched, tools }: DispatchParts): Promise<Secret | null> => {
  if (!isForKey(dispatched)) return null;
  const { newPrivateKey, privateKeyIn } = await import('../infra/juju/wire/signing-request.ts');
  const { 'private-key': given } = await tools.actionParameters();
  const key = typeof given === 'string' ? privateKeyIn(given) : await newPrivateKey();
  if (key === null)
    await tools.actionFail(
      'the parameter private-key holds no private key that a certificate can be asked for with: give it as PEM, or as the base64 of that, without a passphrase',
    );
  return key;
};

const certificateOf = async (parts: DispatchParts, view: UnitView) => {
  const { dispatched, tools, clock } = parts;
  const { application, unit, model } = dispatched;
  const related = await view.certificates();
  const { hasCertificate } = await view.lastState();
  if (related === null && isForKey(dispatched))
    await tools.actionFail(
      'there is no certificate that a key could be for: relate the application at certificates to a charm that signs, and run this again',
    );
  if (related === null && !hasCertificate)
    return { material: null, lacks: [], isKept: false, dueAt: Number.POSITIVE_INFINITY };
  const number = unitNumberOf(unit);
  const { material, lacking, dueAt } = await ownCertificate({
    tools,
    relation: related === null ? null : { ...related.relation, provider: related.remoteApplication },
    unit,
    identity: {
      application,
      number,
      model: model.name,
      fqdn: podNameOf(dispatched),
      hostname: hostname(),
      bound: Object.values(networkInterfaces()).flatMap((all) =>
        (all ?? []).flatMap(({ internal, address }) => (internal ? [] : [address])),
      ),
    },
    givenKey: related === null ? null : await keyGiven(parts),
    now: clock.wall(),
  });
  const lacks = lacking === null ? [] : [lack.certificate({ self: unit, reason: lacking })];
  return { material, lacks, isKept: related !== null, dueAt };
};

const serviceOf = async (
  { dispatched, kubernetes = null }: DispatchParts,
  view: UnitView,
  looksAgain: boolean,
): Promise<ServiceMade | null> => {
  const config = kubernetes === null ? null : await view.optionsToHeed();
  if (kubernetes === null || config === null) return null;
  const { application, unit, model } = dispatched;
  const applied = (await view.lastState()).service;
  return makeService(kubernetes, {
    application,
    model: model.name,
    unit,
    config,
    served: await view.addressesTold(),
    applied,
    looksAgain,
  });
};

/** Every other event is about something, which the look of a later dispatch would not ask for. */
const onlyLooks: ReadonlySet<JujuEvent['type']> = new Set(['updateStatus', 'configChanged']);

/** Until nothing is under way, and nothing that only time keeps waiting is worth the wait. What is still under way is told. */
const settled = async (
  running: Running<UnitCast>,
  hook: Hook,
  clock: Clock,
  isOver: () => boolean,
): Promise<readonly string[]> => {
  const ends = hook.type === 'stop' || hook.type === 'remove';
  const deadline = clock.now() + (ends ? stopMs : longestMs);
  const patience = ends ? deadline : clock.now() + patienceMs;
  for (;;) {
    const result = await running.settle(deadline - clock.now());
    if (result.kind === 'stuck') return result.effects.map(({ actor, type }) => `${actor} ${type}`);
    if (isOver() || (ends && running.stateOf('unit').phase === 'left')) return [];
    const now = clock.now();
    const due = Math.max(running.dueAt(), now + shortestWaitMs);
    if (due > patience) return [];
    await passed(clock, due - now);
    running.send(['unit', { type: 'ticked', wall: clock.wall() }]);
  }
};

/** Nothing is waited for but a hook about what is not there yet. */
const isAtRest = (running: Running<UnitCast>): boolean =>
  running.dueAt() === Number.POSITIVE_INFINITY &&
  running.stateOf('unit').status.waits.every(({ id }) => id === unrelated.id);
const unrelated = lack.backendMissing({ application: '' });

/** What the container could not be told this time is told by the next whole look. */
const heeded = ({ telemetry, settling, ...parts }: DispatchParts): WatchedParts => {
  if (telemetry === undefined || settling === undefined) return { ...parts, ...(telemetry && { telemetry }) };
  const heard = async <T extends { readonly kind: string }>(asked: Promise<T>): Promise<T> => {
    const answer = await asked;
    if (!['told', 'exported', 'missing'].includes(answer.kind)) settling.unsettle();
    return answer;
  };
  const { metricsPort } = telemetry;
  return {
    ...parts,
    telemetry: {
      metricsPort,
      forwardLogs: (wanted) => heard(telemetry.forwardLogs(wanted)),
      exportMetrics: () => heard(telemetry.exportMetrics()),
      stopExporters: () => heard(telemetry.stopExporters()),
    },
  };
};

const serversOf = (intent: Intent | null): readonly ServerAddress[] =>
  Object.values(intent?.backends ?? {}).flatMap(({ endpoints }) =>
    endpoints.flatMap((endpoint) => serverOf(endpoint) ?? []),
  );

const passed = (clock: Clock, ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(ms as Millis, resolve);
  return promise;
};

/** Juju sets a status of its own around these. */
const resetsStatus: ReadonlySet<HookEvent['type']> = new Set(['install', 'start', 'stop', 'upgradeCharm']);

const setStatus = async (
  running: Running<UnitCast>,
  event: HookEvent,
  view: UnitView,
  tools: JujuTools,
): Promise<{ readonly word: StatusWord; readonly message: string }> => {
  const { status } = running.stateOf('unit');
  const next =
    event.type === 'install'
      ? ({ word: 'maintenance', message: 'installed: it joins the fleet as soon as Juju shows it its peers' } as const)
      : { word: wordOf(status.word), message: status.message };
  const { status: last } = await view.lastState();
  const isKnown = last !== null && last.word === next.word && last.message === next.message;
  if (!isKnown || resetsStatus.has(event.type)) await tools.setStatus('unit', next.word, next.message);
  return next;
};

const wordOf = (word: 'active' | 'waiting' | 'blocked' | 'maintenance' | 'down' | 'unknown'): StatusWord =>
  word === 'down' || word === 'unknown' ? 'maintenance' : word;

const answerAction = async (
  name: string,
  running: Running<UnitCast>,
  view: UnitView,
  { dispatched, tools, clock }: DispatchParts,
): Promise<void> => {
  const status = fleetStatusOf(running.stateOf('unit'), {
    application: dispatched.application,
    self: dispatched.unit,
    pid: 0,
    version,
    backplane: 'juju',
    departureGraceMs: Number.POSITIVE_INFINITY,
    now: clock.now(),
    wall: clock.wall(),
  });
  if (name === 'status') await tools.actionSet({ status: JSON.stringify(status) });
  if (name === 'resume-upgrade')
    await tools.actionSet({ result: 'no unit is held back: Juju refreshes one after the other' });
  if (name === confirmingAction) await answerConfirmation(await view.limitConfirmed(), tools);
  if (name !== 'pre-upgrade-check') return;
  // A unit that is refreshed takes what is published: what cannot be had before cannot be had after.
  const unfit = status.units.filter((unit) => unit.status !== 'active');
  if (unfit.length === 0)
    await tools.actionSet({ result: 'every unit serves the newest generation: refresh the application' });
  else
    await tools.actionFail(
      `do not refresh yet: ${unfit.map(({ unit, status: word, message }) => `${unit} is ${word} (${message})`).join('; ')}`,
    );
};

const answerConfirmation = async (
  outcome: Awaited<ReturnType<UnitView['limitConfirmed']>>,
  tools: JujuTools,
): Promise<void> => {
  switch (outcome) {
    case 'confirmed':
      return tools.actionSet({ result: 'max_db_connections is for the whole fleet from now on' });
    case 'nothing':
      return tools.actionSet({ result: 'max_db_connections was for the whole fleet already' });
    case 'notLeader':
      return tools.actionFail(`run it on the leader: juju run APPLICATION/leader ${confirmingAction}`);
  }
};
