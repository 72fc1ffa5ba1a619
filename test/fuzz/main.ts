/**
 * `npm run fuzz [-- --count 100000 --seed N --in-turn --json]`: intents as nasty as they come. Each is refused in words, or rendered to files
 * that the real PgBouncers prove and, asked for every key, database and login, show as what was asked for. Each intent is loaded by
 * every PgBouncer and proven by one of them in turn; with --in-turn that one alone loads it, which takes a third of the time.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { changeIntent, emptyIntent } from '../../src/actors/config/change.ts';
import { compose } from '../../src/actors/config/compose.ts';
import type { BackendFacts } from '../../src/actors/model/backend.ts';
import type { Change } from '../../src/actors/model/change.ts';
import type { FleetSpec } from '../../src/actors/model/fleet-spec.ts';
import type { Application, WallMs } from '../../src/actors/model/ids.ts';
import type { Intent } from '../../src/actors/model/intent.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { usernameOf } from '../../src/actors/relation/client/databag.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { serverOf } from '../../src/infra/postgres/endpoint.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { scramVerifier } from '../../src/pgbouncer/scram.ts';
import { parseVersion } from '../../src/pgbouncer/version.ts';
import { configMismatches } from '../../src/pgbouncer/verify.ts';
import { unit, unitRecordOf } from '../support/builders.ts';
import { pgbouncersOf } from '../support/pgbouncer-binaries.ts';
import { type Meant, misunderstandings } from './meaning.ts';
import { RealPgBouncer } from './real-pgbouncer.ts';
import { wildChanges } from './wild-intents.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    seed: { type: 'string' },
    'in-turn': { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
const count = Number(values.count ?? 100_000);
const seed = Number(values.seed ?? randomInt(2 ** 31));

interface Tally {
  /** Intents that were accepted whole, refused in part and accepted for the rest, and refused whole. */
  accepted: number;
  partly: number;
  refused: number;
  /** Of those accepted: that no budget of the fleet has room for. */
  withoutRoom: number;
  /** Files given to a real PgBouncer: dry runs, and loaded and read back. */
  proven: number;
  loaded: number;
}

interface Trial {
  readonly meant: Meant;
  readonly spec: FleetSpec;
}

const application = 'pgbouncer' as Application;
const about = { application, author: 'fuzz', reason: '', wall: 0 as WallMs };
const wrong = new Map<string, string>();
const tally: Tally = { accepted: 0, partly: 0, refused: 0, withoutRoom: 0, proven: 0, loaded: 0 };

const run = async (): Promise<void> => {
  const binaries = (await pgbouncersOf(process.env['PATH'] ?? '')).flatMap(({ version, run: program, reason }) => {
    const parsed = parseVersion(version);
    if (program === null || parsed === null) process.stderr.write(`fuzz: without PgBouncer ${version}: ${reason}\n`);
    return program === null || parsed === null ? [] : [{ run: program, version: parsed }];
  });
  if (binaries.length === 0) throw new Error('there is no PgBouncer to try this with');
  const account = await serviceAccount();
  const scratch = await createScratch('troupe-fuzz-', account);
  // PgBouncer refuses root, and its console lets in who has its user id.
  if (process.getuid?.() === 0) {
    process.setgroups?.([account.gid]);
    process.setgid?.(account.gid);
    process.setuid?.(account.uid);
  }
  const verifier = await scramVerifier(new Secret('probe'), randomBytes(16));
  const places = await Promise.all(
    binaries.map(async (binary, index) => {
      const [port, directory] = [await freePort(['127.0.0.1']), join(scratch, String(index))];
      return RealPgBouncer.open({ ...binary, directory, port, verifier });
    }),
  );
  try {
    await tryAll(places, verifier);
  } finally {
    await Promise.all(places.map((place) => place[Symbol.asyncDispose]()));
    await rm(scratch, { recursive: true, force: true });
  }
};

/** PgBouncers side by side, each with one set of files after the other. */
const tryAll = async (places: readonly RealPgBouncer[], verifier: Secret): Promise<void> => {
  const startedAt = performance.now();
  let done = 0;
  const turns = samples();
  const tryNext = async (own: RealPgBouncer): Promise<void> => {
    for (let next = turns.next(); next.done !== true && wrong.size < mostWrong; next = turns.next()) {
      const changes = next.value;
      const trial = trialOf(changes, verifier);
      const trying = values['in-turn'] === true ? [own] : places;
      const proving = values['in-turn'] === true ? own : places[done % places.length];
      if (trial !== null) await Promise.all(trying.map((place) => tryOn(place, trial, changes, place === proving)));
      done += 1;
      if (done % 5_000 > 0) continue;
      const seconds = Math.round((performance.now() - startedAt) / 1_000);
      process.stderr.write(`fuzz: ${done} of ${count} intents in ${seconds} s, ${tally.loaded} sets of files loaded\n`);
    }
  };
  // Who is loaded by all of them has them to itself.
  await Promise.all((values['in-turn'] === true ? places : places.slice(0, 1)).map(tryNext));
};
const mostWrong = 20;

/** In pieces: a hundred thousand at once would be kept in memory. */
function* samples(): Generator<readonly Change[]> {
  const size = 1_000;
  for (let at = 0; at < count; at += size)
    yield* fc.sample(wildChanges, { numRuns: Math.min(size, count - at), seed: seed + at });
}

/** Null when nothing of it was accepted, or nothing of it fits. */
const trialOf = (changes: readonly Change[], verifier: Secret): Trial | null => {
  let intent: Intent | null = null;
  let refusals = 0;
  for (const change of changes) {
    const outcome = changeIntent(intent, change, about, [], null);
    if (outcome.kind === 'changed') intent = outcome.intent;
    if (outcome.kind === 'refused' || outcome.kind === 'invalid') refusals += 1;
    const sentences =
      outcome.kind === 'refused'
        ? [outcome.reason]
        : outcome.kind === 'invalid'
          ? outcome.problems.map(({ reason }) => reason)
          : [];
    if (outcome.kind === 'invalid' && sentences.length === 0) report(changes, 'refused without a problem');
    for (const sentence of sentences)
      if (!isSentence(sentence)) report(changes, `no sentence: ${JSON.stringify(sentence)}`);
  }
  if (intent === null) {
    tally.refused += 1;
    return null;
  }
  if (refusals === 0) tally.accepted += 1;
  else tally.partly += 1;
  return composed(changes, intent, verifier);
};

/** One line of a length that somebody reads. */
const isSentence = (text: string): boolean =>
  text.length > 10 && text.length <= 600 && !/[\p{Cc}\u2028\u2029]/u.test(text);

const composed = (changes: readonly Change[], accepted: Intent, verifier: Secret): Trial | null => {
  const intent = { ...emptyIntent, ...accepted };
  const primaries = new Map(
    Object.entries(intent.backends).map(([name, { endpoints }]) => [name, serverOf(endpoints[0] ?? '') ?? nowhere]),
  );
  for (const [name, primary] of primaries) if (primary === nowhere) report(changes, `backend ${name} has no server`);
  const clients = Object.entries(intent.clients).map(([name, { id, database, backend }]) => {
    const username = usernameOf(application, name, id);
    return { id, name, database, backend, account: { username, password: new Secret('p'), verifier } };
  });
  const units = [unitRecordOf(0, { instances: 1 }), unitRecordOf(1, { instances: 2 })];
  const facts = new Map([...primaries].map(([name, primary]) => [name, factsOf(primary)]));
  const { options } = intent;
  const tried = compose({
    options,
    held: new Set(),
    intended: intent.clients,
    clients,
    facts,
    units,
    current: null,
    isPatient: true,
    backends: [],
  });
  if (tried.kind === 'refused') {
    if (!isSentence(tried.reason)) report(changes, `no sentence: ${JSON.stringify(tried.reason)}`);
    tally.withoutRoom += 1;
    return null;
  }
  const logins = new Map(clients.map(({ name, account }) => [name, account.username]));
  return { meant: { intent, port: 0, logins, primaries, instances: 3 }, spec: tried.spec };
};
const nowhere = { host: '', port: 0 };

const factsOf = (primary: { readonly host: string; readonly port: number }): BackendFacts => ({
  kind: 'ready',
  primary,
  standbys: [],
  version: 170_000,
  systemId: '1',
  timeline: 1,
  silent: [],
  clientConnections: 97,
  maxConnections: 100,
  ailments: [],
});

const tryOn = async (
  place: RealPgBouncer,
  { meant, spec }: Trial,
  changes: readonly Change[],
  prove: boolean,
): Promise<void> => {
  const { version, layout, port } = place;
  const name = `PgBouncer ${version.major}.${version.minor}`;
  try {
    const own = { ...spec, options: { ...spec.options, listen_port: port } };
    const rendered = render(own, unit(0), layout, version, 'troupe-1-0123456789ab');
    const [objection, shown] = await Promise.all([prove ? place.objection(rendered) : null, place.load(rendered)]);
    tally.proven += prove ? 1 : 0;
    tally.loaded += 1;
    if (objection !== null) report(changes, `${name} does not prove it: ${objection}`);
    const ini = rendered.instances[0]?.ini ?? '';
    for (const text of [...configMismatches(ini, shown), ...misunderstandings(meant, shown, version)])
      report(changes, `${name}: ${text}`);
  } catch (cause) {
    report(changes, `${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
};

/** Of each kind the first: what is alike but for names and numbers is one kind. */
const report = (changes: readonly Change[], what: string): void => {
  const kind = what.replaceAll(/"(?:[^"\\]|\\.)*"|[\d.]+/g, '…').slice(0, 80);
  if (!wrong.has(kind)) wrong.set(kind, `${what}\n    ${JSON.stringify(changes)}`);
};

await run();
if (values.json === true)
  process.stdout.write(`${JSON.stringify({ count, seed, ...tally, wrong: [...wrong.values()] })}\n`);
else {
  const rows = Object.entries({ intents: count, seed, ...tally }).map(
    ([what, figure]) => `${what.padEnd(12)} ${figure}`,
  );
  process.stdout.write(`${rows.join('\n')}\n${[...wrong.values()].map((text) => `WRONG: ${text}\n`).join('')}`);
}
process.exitCode = wrong.size === 0 ? 0 : 1;
