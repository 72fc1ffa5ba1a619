/**
 * The one executable: reads argv and environment, loads one program. Each program is imported only when it is the one that runs,
 * so that none carries another's libraries.
 */
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { keepSignals } from './programs/signals.ts';

/** Bad input: what design calls usage. */
const exitUsage = 2;
const exitFailed = 1;

const environment: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('TROUPE_') && value !== undefined ? [[name, value]] : [],
  ),
);
const isRoot = process.getuid?.() === 0;
/** Where the user's own sockets go; the specification wants an absolute path and everything else ignored. */
const userRunDir = process.env['XDG_RUNTIME_DIR']?.startsWith('/')
  ? join(process.env['XDG_RUNTIME_DIR'], 'troupe')
  : `/tmp/troupe-${process.getuid?.() ?? 0}`;
const runDir = isRoot ? '/run/troupe' : userRunDir;
/** Where units may be asked: one's own first, then those of the machine. */
const runDirectories =
  environment['TROUPE_RUN_DIR'] === undefined ? [...new Set([runDir, '/run/troupe'])] : [environment['TROUPE_RUN_DIR']];

const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

const main = async (argv: readonly string[]): Promise<number> => {
  const [verb, ...rest] = argv;
  switch (verb) {
    case 'unit':
      return unit(rest);
    case 'demo': {
      const { demo } = await import('./programs/demo.ts');
      return demo(rest, {
        stdout: process.stdout,
        stderr: process.stderr,
        environment,
        runDir,
        path: process.env['PATH'] ?? '',
        unitCommand: [process.execPath, process.argv[1] ?? '', 'unit'],
        colour,
      });
    }
    case 'ready': {
      const { ready } = await import('./programs/ready.ts');
      return ready(rest, { stdout: process.stdout, stderr: process.stderr, environment, runDirectories });
    }
    case undefined:
    default: {
      const { cli } = await import('./programs/cli.ts');
      return cli(argv, {
        stdout: process.stdout,
        stderr: process.stderr,
        stdin: process.stdin,
        environment,
        runDirectories,
        onInterrupt,
        colour,
      });
    }
  }
};

const unit = async (args: readonly string[]): Promise<number> => {
  const signals = keepSignals((sentence) => complain([sentence], exitFailed));
  const { flagOf, loadUnitSettings, unitFlagsIn, unitSettingHelp } = await import('./settings.ts');
  const { flags, help, problems } = unitFlagsIn(args);
  if (help) {
    const width = Math.max(...Object.keys(unitSettingHelp).map((name) => flagOf(name).length));
    const lines = Object.entries(unitSettingHelp).map(([name, about]) => `  ${flagOf(name).padEnd(width)}  ${about}`);
    process.stdout.write(
      `troupe unit: run a unit\n\nSettings (each also as TROUPE_… in the environment):\n${lines.join('\n')}\n`,
    );
    return 0;
  }
  if (problems.length > 0) return complain(problems, exitUsage);
  const stateDir = isRoot ? '/var/lib/troupe' : join(homedir(), '.local', 'state', 'troupe');
  const loaded = loadUnitSettings(environment, flags, { stateDir, runDir, cpus: availableParallelism() });
  if (loaded.kind === 'invalid') return complain(loaded.problems, exitUsage);
  // A coordinator lives for months beside what it coordinates: an idle one takes 105 MB instead of 131.
  for (const flag of ['--optimize-for-size', '--max-semi-space-size=2']) setFlagsFromString(flag);
  const { BadFleetFile, runUnit } = await import('./programs/unit.ts');
  try {
    return await runUnit(loaded.settings, signals);
  } catch (cause) {
    if (cause instanceof BadFleetFile) return complain(cause.sentences, exitUsage);
    return complain([cause instanceof Error ? cause.message : String(cause)], exitFailed);
  }
};

const onInterrupt = (interrupted: () => void): Disposable => {
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  return { [Symbol.dispose]: () => void process.off('SIGINT', interrupted).off('SIGTERM', interrupted) };
};

const complain = (sentences: readonly string[], code: number): number => {
  for (const sentence of sentences) process.stderr.write(`troupe: ${sentence}\n`);
  return code;
};

process.exitCode = await main(process.argv.slice(2));
