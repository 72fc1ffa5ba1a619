import { chmod, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { charmInto, ownArchitecture } from '../../scripts/charm-archive.ts';
import { type Account, createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { charmIn } from '../support/juju/charm.ts';
import { counterpartsPython } from '../support/juju/counterparts-python.ts';
import type { RanHook } from '../support/juju/hook-record.ts';
import type { JujuModel } from '../support/juju/juju-model.ts';
import { toolTimeOf } from '../support/juju/tool-time.ts';
import { alone, follower, leader, noteOf, openCharmGround } from './charm-ground.ts';
import { median, type Row, rounded } from './report.ts';

const rounds = 15;
const wholeRounds = 5;
const calls = 20;

/**
 * What a hook costs that has nothing to do: one that finds everything as a whole look left it, as most do, and a whole look, as there is
 * one every ten minutes. It is the charm as it is packed, with PgBouncers that run, beside an empty charm on `ops` where
 * there is a Python. What its hook tools take is left out, as a shell script that does nothing but call one tells it.
 */
export const dispatchOfNothing = async (): Promise<readonly Row[]> => {
  const account = await serviceAccount();
  const place = await createScratch('troupe-bench-', account);
  try {
    return await measuredIn(place, account);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
};

const measuredIn = async (place: string, account: Account): Promise<readonly Row[]> => {
  const { run: python, reason } = await counterpartsPython();
  const architecture = ownArchitecture();
  if (architecture === undefined) throw new Error(`there is no charm for ${process.arch}`);
  const directory = join(place, 'charm');
  await charmInto(directory, architecture);
  await using ground = await openCharmGround({ directory, place, account, python });
  const { juju } = ground;
  juju.deploy('shell', charmIn(await charmOf(place, 'shell', 'exit 0')));
  juju.deploy(
    'callers',
    charmIn(await charmOf(place, 'callers', 'is-leader --format=json >/dev/null\n'.repeat(calls))),
  );
  if (python !== null) juju.deploy('ops', charmIn(await opsCharm(place, python)));
  await juju.settle();
  const ours: readonly Case[] = [
    { unit: `${alone}/0`, what: 'nothing related' },
    ...(python === null
      ? []
      : [
          { unit: leader, what: 'the leader, with a backend and three clients' },
          { unit: follower, what: 'a follower, with a backend and three clients' },
        ]),
  ];
  const units = ['shell/0', 'callers/0', ...(python === null ? [] : ['ops/0']), ...ours.map(({ unit }) => unit)];
  const runAll = async (ran: Map<string, RanHook[]>): Promise<void> => {
    for (const unit of units) {
      juju.updateStatus(unit);
      const hooks = await juju.settle();
      if (hooks.length !== 1) throw new Error(`a dispatch of ${unit} changed something: ${hooks.length} hooks ran`);
      ran.set(unit, [...(ran.get(unit) ?? []), ...hooks]);
    }
  };
  const notes = ours.map(({ unit }) => noteOf(place, unit));
  const forget = () => Promise.all(notes.map((note) => rm(note, { force: true })));
  const whole = new Map<string, RanHook[]>();
  for (let round = 0; round <= wholeRounds; round += 1) {
    await forget();
    await runAll(round === 0 ? new Map() : whole); // The first one warms up.
  }
  // A whole one writes its note anew, or has none to write while a unit waits for something.
  const written = async (): Promise<string> =>
    (await Promise.all(notes.map((note) => stat(note).catch(() => null)))).map((found) => found?.mtimeMs).join();
  const left = await written();
  const ran = new Map<string, RanHook[]>();
  const configured = new Map<string, RanHook[]>();
  for (let round = 0; round < rounds; round += 1) {
    await runAll(ran);
    for (const { unit } of ours)
      configured.set(unit, [...(configured.get(unit) ?? []), await juju.dispatch(unit, 'config-changed')]);
  }
  if ((await written()) !== left) throw new Error('a dispatch that was to find everything as it was has looked again');
  const hooksOf = (unit: string): readonly RanHook[] => ran.get(unit) ?? [];
  const tookMs = (unit: string) => median(hooksOf(unit).map((hook) => hook.tookMs));
  const toolMs = (tookMs('callers/0') - tookMs('shell/0')) / calls;
  const answerMs = median(hooksOf('callers/0').flatMap((hook) => hook.calls.map((call) => call.tookMs)));
  const ownMs = (hooks: readonly RanHook[]) =>
    rounded(median(hooks.map((hook) => hook.tookMs - toolTimeOf(hook.calls, toolMs - answerMs))));
  const floor = python === null ? null : ownMs(hooksOf('ops/0'));
  const note = `a hook tool takes ${rounded(toolMs)} ms here${reason === null ? '' : `; ${reason}`}`;
  const rows: Row[] = [];
  for (const { unit, what } of ours) {
    const hooks = { 'update-status': hooksOf(unit), 'config-changed': configured.get(unit) ?? [] };
    for (const [hook, those] of Object.entries(hooks)) {
      const own = ownMs(those);
      rows.push(
        {
          ...row(`${what}: time of ${hook} without its hook tools, median`, own, 'ms', 100),
          floor,
          ratio: floor === null ? null : rounded(own / floor),
          budget: '100 ms, and less than an empty ops charm',
          holds: own <= 100 && (floor === null || own < floor),
          note,
        },
        row(`${what}: hook tools called by ${hook}, beside one for each bag`, toolsOf(those.at(-1)), 'calls', 6),
      );
    }
    rows.push({
      ...row(
        `${what}: time without its hook tools when it looks at everything, median`,
        ownMs(whole.get(unit) ?? []),
        'ms',
        Infinity,
      ),
      floor,
      budget: 'none: once in ten minutes',
    });
    if (python === null) continue;
    rows.push(row(`${what}: memory at its peak`, await residentOf(juju, { unit, place, python }), 'MB', 100));
  }
  return rows;
};

interface Case {
  readonly unit: string;
  readonly what: string;
}

const row = (what: string, value: number, unit: string, most: number): Row => ({
  name: `dispatch that changes nothing, ${what}`,
  value,
  unit,
  floor: null,
  ratio: null,
  budget: `${most} ${unit}`,
  holds: value <= most,
  note: '',
});

const toolsOf = (hook: RanHook | undefined): number =>
  (hook?.calls ?? []).filter(({ tool }) => tool !== 'relation-get').length;

/** What it does at update-status alone. */
const charmOf = async (place: string, name: string, script: string): Promise<string> => {
  const directory = join(place, name);
  await mkdir(directory);
  await writeFile(join(directory, 'metadata.yaml'), `name: ${name}\nsummary: ${name}\ndescription: ${name}\n`);
  const text = `#!/bin/sh\n[ "$JUJU_DISPATCH_PATH" = hooks/update-status ] || exit 0\n${script}\n`;
  await writeFile(join(directory, 'dispatch'), text);
  await chmod(join(directory, 'dispatch'), 0o755);
  return directory;
};

/** As charmcraft makes it, with nothing in it. */
const opsCharm = async (place: string, python: string): Promise<string> => {
  const directory = await charmOf(place, 'ops', `exec ${python} src/charm.py`);
  await mkdir(join(directory, 'src'));
  const program = 'import ops\n\n\nclass Charm(ops.CharmBase):\n    pass\n\n\nops.main(Charm)\n';
  await writeFile(join(directory, 'src', 'charm.py'), program);
  return directory;
};

interface Measured {
  readonly unit: string;
  readonly place: string;
  readonly python: string;
}
/** The largest process of one more dispatch; Python can tell that of what it has waited for. */
const residentOf = async (juju: JujuModel, { unit, place, python }: Measured): Promise<number> => {
  const dispatch = join(place, 'charm', 'dispatch');
  const kept = join(place, 'charm', 'measured');
  const told = join(place, 'resident');
  await cp(dispatch, kept);
  const script = [
    'import resource, subprocess',
    `code = subprocess.run(['${kept}']).returncode`,
    `open('${told}', 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))`,
    'raise SystemExit(code)',
  ];
  await writeFile(dispatch, `#!${python}\n${script.join('\n')}\n`);
  juju.updateStatus(unit);
  await juju.settle();
  await cp(kept, dispatch);
  return rounded(Number(await readFile(told, 'utf8')) / 1024);
};
