/** The gate before a commit: one line for each phase, with its time; the words of a phase only when it fails. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

interface Phase {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
}

const tool = (name: string, ...args: string[]): Phase['command'] => [`node_modules/.bin/${name}`, ...args];

/** What looks at the sources, one after the other. */
const looks: readonly Phase[] = [
  { name: 'format', command: tool('biome', 'format', '.') },
  { name: 'lint', command: tool('oxlint', '--type-aware', '--deny-warnings', 'src', 'test', 'scripts') },
  { name: 'types', command: tool('tsc', '-p', '.') },
  { name: 'unused', command: tool('knip') },
  { name: 'start', command: ['bin/troupe', 'version'] },
];
/** Beside them, because tests wait more than they compute. */
const tests: Phase = {
  name: 'tests',
  command: [process.execPath, 'scripts/test.ts', '--project', 'unit', '--project', 'simulation'],
};

const verdict = (clean: boolean): string => (clean ? 'ok' : 'FAILED').padEnd(6);
const secondsSince = (began: number): string => ((performance.now() - began) / 1000).toFixed(1).padStart(5);

const run = async ({ name, command: [program, ...args] }: Phase): Promise<boolean> => {
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<string | number | null>((resolve) => {
    child.once('error', ({ message }) => resolve(message)).once('close', resolve);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  const clean = code === 0;
  const remark = clean ? lastLine(stdout) : [program, ...args].join(' ');
  console.log(`${name.padEnd(8)} ${verdict(clean)}  ${secondsSince(began)} s  ${remark}`.trimEnd());
  if (!clean) console.log([stdout, stderr, ...(typeof code === 'string' ? [code] : [])].join(''));
  return clean;
};

/** Which says what was looked at, or how many tests there are. */
const lastLine = (output: string): string => output.trimEnd().split('\n').at(-1) ?? '';

const inOrder = async (phases: readonly Phase[]): Promise<boolean> => {
  let clean = true;
  for (const phase of phases) clean = (await run(phase)) && clean;
  return clean;
};

const began = performance.now();
const clean = (await Promise.all([inOrder(looks), run(tests)])).every((ok) => ok);
console.log(`${'check'.padEnd(8)} ${verdict(clean)}  ${secondsSince(began)} s`);
process.exitCode = clean ? 0 : 1;
