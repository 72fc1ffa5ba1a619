/** A unit as the program runs it, but that one of its actors cannot stand the sight of a file: `unit-with-defect-process FILE`. */
import { existsSync } from 'node:fs';
import type { CastPorts, CastSettings, UnitCast } from '../../src/programs/cast.ts';
import { createCast } from '../../src/programs/cast.ts';
import { keepSignals } from '../../src/programs/signals.ts';
import { runUnit } from '../../src/programs/unit.ts';
import { loadUnitSettings } from '../../src/settings.ts';

const file = process.argv[2] ?? '';
const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('TROUPE_') && value !== undefined ? [[name, value]] : [],
  ),
);
const castWithDefect = (settings: CastSettings, ports: CastPorts): UnitCast => {
  const cast = createCast(settings, ports);
  return {
    ...cast,
    peers: {
      ...cast.peers,
      decide: (state, message, now) => {
        if (existsSync(file)) throw new Error(`cannot stand ${file}`);
        return cast.peers.decide(state, message, now);
      },
    },
  };
};
const loaded = loadUnitSettings(environment, {}, { stateDir: '/', runDir: '/', cpus: 1 });
if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
process.exitCode = await runUnit(
  loaded.settings,
  keepSignals((sentence) => process.stderr.write(`${sentence}\n`)),
  castWithDefect,
);
