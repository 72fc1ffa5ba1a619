/**
 * Runs the tests; takes vitest's arguments (`--project unit`, a part of a file name, `-t`). Ends with the servers the
 * run had, a sentence for each thing it did without, and the tally. An interrupted run still stops its servers.
 */
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createVitest,
  parseCLI,
  type Reporter,
  type TestCase,
  type TestModule,
  TestsNotFoundError,
  type Vitest,
} from 'vitest/node';
import { lineOf, listOf, type Outcome, tallyOf } from './tally.ts';

let vitest: Vitest | undefined;
let interrupted: 'SIGINT' | 'SIGTERM' | undefined;
takeSignals();

const uid = process.getuid?.() ?? 0;
removeForsaken();
const scratch = mkdtempSync(join(tmpdir(), `troupe-tests-${uid}-${process.pid}-`));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
const providers = join(scratch, 'providers');
process.env['TROUPE_TEST_PROVIDERS'] = providers;

const outcomes: Outcome[] = [];
const collector: Reporter = {
  onTestCaseResult: (test) => record(outcomeOf(test)),
  onTestModuleEnd: (module) => {
    const errors = errorsOf(module);
    if (errors.length > 0) record({ test: nameOf(module), outcome: 'failed', why: wordsOf(errors) });
  },
};
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
vitest = await leavingNoToken(() =>
  createVitest({
    ...options,
    watch: false,
    configLoader: 'native', // The others write a bundle beside the config; the checkout may belong to somebody else.
    reporters: ['default', collector],
  }),
);
takeSignals();
try {
  await vitest.start(filter);
} catch (cause) {
  if (isMissingEngine(cause)) console.error(cause.message);
  else if (!(cause instanceof TestsNotFoundError)) throw cause; // Vitest has said so, with what it looked for.
} finally {
  await vitest.close();
}
for (const line of serverLines()) console.log(line);
if (interrupted === undefined) for (const line of listOf('Not run:', outcomes, 'skipped')) console.log(line);
for (const line of listOf('Failed:', outcomes, 'failed')) console.log(line);
const tally = tallyOf(outcomes);
console.log(lineOf(tally));
if (tally.passed + tally.failed === 0) console.error('no test was executed');
if (tally.failed > 0 || tally.passed === 0) process.exitCode ||= 1;
process.exit(interrupted === undefined ? process.exitCode : 128 + constants.signals[interrupted]);

/** From vitest, which would exit at once and leave the servers to nobody. */
function takeSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      if (vitest === undefined) process.exit(128 + constants.signals[signal]);
      if (interrupted !== undefined) return;
      interrupted = signal;
      console.error(`${signal}: stopping the tests and their servers`);
      void stop(vitest, 128 + constants.signals[signal]);
    });
  }
}

/** A test that does not end is not waited for. */
async function stop(running: Vitest, exitCode: number): Promise<void> {
  await Promise.race([running.cancelCurrentRun('keyboard-input'), delay(5_000)]);
  await running.close();
  process.exit(exitCode);
}

/** Nothing is wrong with the tests: this machine cannot run them. */
function isMissingEngine(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === 'MissingEngine';
}

/** What a run of ours that was killed could not remove. */
function removeForsaken(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, owner, pid] = /^troupe-tests-(\d+)-(\d+)-/.exec(name) ?? [];
    if (owner === String(uid) && !isAlive(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (cause) {
    return cause instanceof Error && 'code' in cause && cause.code === 'EPERM';
  }
}

/** Vitest keeps a token for its API, which nobody uses here, in the home directory of whoever runs it. */
async function leavingNoToken<T>(create: () => Promise<T>): Promise<T> {
  const home = process.env['XDG_DATA_HOME'];
  process.env['XDG_DATA_HOME'] = scratch;
  const created = await create();
  if (home === undefined) delete process.env['XDG_DATA_HOME'];
  else process.env['XDG_DATA_HOME'] = home;
  return created;
}

/** In a file at once where one is named: for a run of several commands that wants one tally, whatever becomes of them. */
function record(outcome: Outcome): void {
  outcomes.push(outcome);
  const file = process.env['TROUPE_TEST_OUTCOMES'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(outcome)}\n`);
}

function outcomeOf(test: TestCase): Outcome {
  const result = test.result();
  const name = `${nameOf(test.module)} > ${test.fullName}`;
  switch (result.state) {
    case 'passed':
      return { test: name, outcome: 'passed' };
    case 'failed':
      return { test: name, outcome: 'failed', why: wordsOf(result.errors) };
    case 'skipped':
    case 'pending':
      return { test: name, outcome: 'skipped', why: result.state === 'skipped' ? result.note : undefined };
  }
}

/** Outside its tests: it does not load, or a hook failed, so that tests it has were not executed. */
function errorsOf(module: TestModule): readonly { readonly message: string }[] {
  return [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => suite.errors())];
}

function wordsOf(errors: readonly { readonly message: string }[]): string | undefined {
  return errors[0]?.message.split('\n')[0];
}

function nameOf(module: TestModule): string {
  return `${module.project.name} ${relative('.', module.moduleId)}`;
}

function serverLines(): readonly string[] {
  const lines = existsSync(providers) ? readFileSync(providers, 'utf8').split('\n').filter(Boolean) : [];
  return lines.length === 0 ? [] : ['Servers of this run, and what it did without:', ...indented(lines)];
}

function indented(lines: readonly string[]): readonly string[] {
  return [...new Set(lines)].toSorted().map((line) => `  ${line}`);
}
