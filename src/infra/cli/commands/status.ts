import { screenWidth } from '../progress.ts';
import { statusTable } from '../status-table.ts';
import { type Context, type Given, print, type Verb } from '../verb.ts';
import { jsonView, lineView, LiveView } from '../watch.ts';

export const statusVerb: Verb = {
  name: 'status',
  summary: 'the fleet: leader, generation, units, relations, and what is waited for',
  usage: '[--watch]',
  takes: { least: 0, most: 0 },
  flags: {
    watch: {
      short: 'w',
      help: 'go on: a table that stays current, or a line for each change where nobody looks at a screen',
    },
  },
  run: async (given, context) => {
    if (given.has('watch')) return watch(given, context);
    const { value, json } = await context.api.readStatus(context.signal);
    print(context, given, json, statusTable(value, { colour: context.colour, width: screenWidth(context.stdout) }));
  },
};

/** Until whoever watches leaves. Only a unit that cannot be asked at all ends it before that. */
const watch = async (given: Given, context: Context): Promise<void> => {
  const { api, stdout } = context;
  const over = new AbortController();
  using _leaving = context.onLeave(() => over.abort());
  await api.status(AbortSignal.any([context.signal, over.signal])).catch((cause: unknown) => {
    if (!over.signal.aborted) throw cause;
  });
  using view = given.has('json')
    ? jsonView(context)
    : stdout.isTTY === true
      ? new LiveView(context)
      : lineView(context);
  for await (const status of api.readStatuses(over.signal, (reason) => view.lost(reason))) view.show(status);
};
