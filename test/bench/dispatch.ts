import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { charmInto, ownArchitecture } from '../../scripts/charm-archive.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { type Account, createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { charmIn } from '../support/juju/charm.ts';
import { counterpartsPython } from '../support/juju/counterparts-python.ts';
import type { RanHook } from '../support/juju/hook-record.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import { startSmallPebble } from '../support/pebble/small-pebble.ts';
import { median, type Row, rounded } from './report.ts';

const rounds = 15;
const calls = 20;
const address = '127.0.0.91';
/** Of the instances: no charm has more. */
const consoles = [1, 2, 3, 4].map((instance) => `127.0.1.${instance}`);

/**
 * What a hook costs that has nothing to do: the charm as it is packed, of one unit whose PgBouncers run, beside an empty charm on
 * `ops` where there is a Python. What its hook tools take is left out, as a shell script that does nothing but call one tells it.
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
  const python = await counterpartsPython();
  const architecture = ownArchitecture();
  if (architecture === undefined) throw new Error(`there is no charm for ${process.arch}`);
  await mkdir(join(place, 'pebble'));
  await using pebble = await startSmallPebble({ directory: join(place, 'pebble'), environment: {} });
  await using juju = await JujuModel.open();
  await charmInto(join(place, 'charm'), architecture);
  const environment = {
    TROUPE_PEBBLE: pebble.socket,
    TROUPE_STATE_DIR: join(place, 'state'),
    TROUPE_PGBOUNCER: findBinary('pgbouncer', process.env['PATH'] ?? ''),
    TROUPE_LISTEN_ADDRESS: address,
    ...(account.uid === process.getuid?.() ? {} : { TROUPE_USER: account.name }),
  };
  const options = { listen_port: await freePort([address, ...consoles]) };
  juju.deploy('pgbouncer', charmIn(join(place, 'charm')), { options, environment: () => environment });
  const shell = await charmOf(place, 'shell', 'exit 0');
  juju.deploy('shell', charmIn(shell));
  const callers = await charmOf(place, 'callers', 'is-leader --format=json >/dev/null\n'.repeat(calls));
  juju.deploy('callers', charmIn(callers));
  if (python.run !== null) juju.deploy('ops', charmIn(await opsCharm(place, python.run)));
  await juju.settle();
  const ran = new Map<string, RanHook[]>();
  for (let round = 0; round <= rounds; round += 1)
    for (const application of juju.applications.keys()) {
      juju.updateStatus(`${application}/0`);
      const hooks = await juju.settle();
      if (round > 0) ran.set(application, [...(ran.get(application) ?? []), ...hooks]); // The first one warms up.
    }
  const tookMs = (application: string) => median((ran.get(application) ?? []).map((hook) => hook.tookMs));
  const toolMs = (tookMs('callers') - tookMs('shell')) / calls;
  const ownMs = (application: string) =>
    rounded(median((ran.get(application) ?? []).map((hook) => hook.tookMs - hook.calls.length * toolMs)));
  const floor = python.run === null ? null : ownMs('ops');
  const residentMb = python.run === null ? null : await residentOf(juju, place, python.run);
  return [
    {
      ...row('time without its hook tools, median', ownMs('pgbouncer'), 'ms', 100),
      floor,
      ratio: floor === null ? null : rounded(ownMs('pgbouncer') / floor),
      budget: '100 ms, and less than an empty ops charm',
      holds: ownMs('pgbouncer') <= 100 && (floor === null || ownMs('pgbouncer') < floor),
      note: `a hook tool takes ${rounded(toolMs)} ms here${python.reason === null ? '' : `; ${python.reason}`}`,
    },
    row('hook tools called, beside one for each bag', toolsOf(ran.get('pgbouncer')?.at(-1)), 'calls', 6),
    ...(residentMb === null ? [] : [row('memory at its peak', residentMb, 'MB', 100)]),
  ];
};

const row = (what: string, value: number, unit: string, most: number): Row => ({
  name: `dispatch that changes nothing: ${what}`,
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

/** The largest process of one more dispatch; Python can tell that of what it has waited for. */
const residentOf = async (juju: JujuModel, place: string, python: string): Promise<number> => {
  const charm = join(place, 'charm');
  const told = join(place, 'resident');
  await cp(join(charm, 'dispatch'), join(charm, 'measured'));
  const script = [
    'import resource, subprocess',
    `code = subprocess.run(['${join(charm, 'measured')}']).returncode`,
    `open('${told}', 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))`,
    'raise SystemExit(code)',
  ];
  await writeFile(join(charm, 'dispatch'), `#!${python}\n${script.join('\n')}\n`);
  juju.updateStatus('pgbouncer/0');
  await juju.settle();
  return rounded(Number(await readFile(told, 'utf8')) / 1024);
};
