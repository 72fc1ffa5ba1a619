import { screenWidth } from '../progress.ts';
import { statusTable } from '../status-table.ts';
import { print, type Verb } from '../verb.ts';

export const statusVerb: Verb = {
  name: 'status',
  summary: 'the fleet: leader, generation, units, relations, and what is waited for',
  usage: '',
  takes: { least: 0, most: 0 },
  flags: {},
  run: async (given, context) => {
    const { value, json } = await context.api.readStatus(context.signal);
    print(context, given, json, statusTable(value, { colour: context.colour, width: screenWidth(context.stdout) }));
  },
};
