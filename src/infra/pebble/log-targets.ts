/**
 * Where Pebble sends what services write. It has no way to forget a target, and goes on sending where a target was first told to,
 * whatever a later layer says: so each place has a name of its own, and a target that is not wanted any more takes nothing. At every
 * change of its plan Pebble sends what it has and waits for that, maybe for a place that does not answer: it is told only news.
 */
import { createHash } from 'node:crypto';
import type { Pebble } from './client.ts';

export interface LogForwarding {
  /** URLs of Loki's push API. */
  readonly locations: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

const layerLabel = 'troupe-logs';
const prefix = 'troupe-loki-';

/** Sends what services of this container write to these places, and to no other of ours. Rejects with PebbleError. */
export const forwardLogs = async (
  pebble: Pebble,
  { locations, labels }: LogForwarding,
  signal: AbortSignal,
): Promise<void> => {
  const known = targetsIn(await pebble.plan(signal));
  const wanted = new Map(locations.map((location) => [nameOf(location), location]));
  const on = [...wanted].flatMap(([name, location]) => {
    const target = { override: 'replace', type: 'loki', location, services: ['all'], labels };
    return isAsWanted(known.get(name), target) ? [] : [[name, target] as const];
  });
  const off = [...known].flatMap(([name, lines]) => {
    const target = { override: 'replace', type: 'loki', location: 'nowhere', services: [] };
    return wanted.has(name) || !name.startsWith(prefix) || lines.includes(nothing) ? [] : [[name, target] as const];
  });
  const changed = [...on, ...off];
  if (changed.length > 0) await pebble.addLayer(layerLabel, { 'log-targets': Object.fromEntries(changed) }, signal);
};

const nameOf = (location: string): string =>
  `${prefix}${createHash('sha256').update(location).digest('hex').slice(0, 12)}`;

const nothing = 'services: []';

/** Pebble writes these values as they are; one that it writes otherwise is told once more, which changes nothing. */
const isAsWanted = (lines: readonly string[] | undefined, { location, labels }: LogTarget): boolean =>
  lines !== undefined &&
  !lines.includes(nothing) &&
  [`location: ${location}`, ...Object.entries(labels).map(([key, value]) => `${key}: ${value}`)].every((line) =>
    lines.includes(line),
  );

interface LogTarget {
  readonly location: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The lines of each target in the plan, without their indentation. All that is asked of the YAML is how Pebble indents it. */
const targetsIn = (plan: string): ReadonlyMap<string, readonly string[]> => {
  const [, section = ''] = plan.split(/^log-targets:\n/m);
  const [indented = ''] = section.split(/^(?=\S)/m);
  const lines = indented.split('\n').filter((line) => line.trim() !== '');
  const depth = lines[0]?.search(/\S/);
  const found = new Map<string, string[]>();
  for (const line of lines) {
    if (line.search(/\S/) === depth) found.set(line.trim().replace(/:$/, ''), []);
    else [...found.values()].at(-1)?.push(line.trim());
  }
  return found;
};
