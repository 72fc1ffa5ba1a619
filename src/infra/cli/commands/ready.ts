import type { z } from 'zod';
import { probePaths } from '../../../api/probe-paths.ts';
import type { probeSchema } from '../../../api/status.ts';
import { jsonIn, notUnderstood } from '../answer-text.ts';
import { answerMs, ask } from '../api-request.ts';
import { CliFailure, exit } from '../exit.ts';
import type { Place } from '../place.ts';
import { type Context, type Given, print } from '../verb.ts';

/** Asked every few seconds wherever a unit has a health check: it loads nothing that it can do without, the schemas among that. */
export const readyVerb = {
  name: 'ready',
  summary: 'whether clients may be sent to a unit, by the exit code: for health checks',
  usage: '',
  takes: { least: 0, most: 0 },
  flags: {},
  run: async (given: Given, context: Pick<Context, 'find' | 'stdout' | 'signal'>): Promise<void> => {
    const { find, signal } = context;
    const place = await find(signal);
    const asked = { method: 'get', path: probePaths.readiness };
    const { text } = await ask(place, asked, AbortSignal.any([signal, AbortSignal.timeout(answerMs)]));
    const probe = probeIn(place, text);
    print(context, given, probe, probe.ok ? `${probe.unit} is ready` : '');
    if (!probe.ok) throw new CliFailure(exit.failed, `${probe.unit} is not ready: ${probe.reason}`);
  },
};

type Probe = Pick<z.output<typeof probeSchema>, 'ok' | 'unit' | 'reason'>;

const probeIn = (place: Place, text: string): Probe => {
  const probe = jsonIn(text);
  if (isProbe(probe)) return probe;
  throw notUnderstood(place, 'as a whole');
};

const isProbe = (json: unknown): json is Probe =>
  typeof json === 'object' &&
  json !== null &&
  typeof Reflect.get(json, 'ok') === 'boolean' &&
  typeof Reflect.get(json, 'unit') === 'string' &&
  typeof Reflect.get(json, 'reason') === 'string';
