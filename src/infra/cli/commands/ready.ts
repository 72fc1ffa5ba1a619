import { CliFailure, exit } from '../exit.ts';
import { print, type Verb } from '../verb.ts';

export const readyVerb: Verb = {
  name: 'ready',
  summary: 'whether clients may be sent to a unit, by the exit code: for health checks',
  usage: '',
  takes: { least: 0, most: 0 },
  flags: {},
  run: async (given, context) => {
    const probe = await context.api.readiness(context.signal);
    print(context, given, probe, probe.ok ? `${probe.unit} is ready` : '');
    if (!probe.ok) throw new CliFailure(exit.failed, `${probe.unit} is not ready: ${probe.reason}`);
  },
};
