import { differenceLines } from '../../../api/difference-text.ts';
import { isSame } from '../../../actors/model/difference.ts';
import { type LoadedFleet, loadFleet } from '../../fleet-file/load.ts';
import { askFor, outcomeFailure } from '../change.ts';
import { CliFailure, exit } from '../exit.ts';
import { plain, type Tone } from '../screen.ts';
import { verifiedBy } from '../standing.ts';
import { type Context, print, type Verb, waitFlags } from '../verb.ts';
import { patienceOf, verifiedLook, waitUntil } from '../waiting.ts';

export const applyVerb: Verb = {
  name: 'apply',
  summary: 'apply a fleet file: options, backends and clients at once',
  usage: '-f FILE [--prune] [--dry-run]',
  takes: { least: 0, most: 0 },
  flags: {
    file: { value: 'FILE', short: 'f', help: 'the fleet file, YAML; - reads standard input' },
    prune: { help: 'remove relations that it does not name, and reset options and settings that it does not name' },
    'dry-run': { help: 'show the difference and change nothing' },
    ...waitFlags,
  },
  run: async (given, context) => {
    const patience = patienceOf(given);
    const loaded = await loadFleet(given.required('file'), context.stdin, given.has('prune'));
    if (loaded.kind === 'faults') throw new CliFailure(exit.usage, loaded.sentences);
    const fleet = loaded.value;
    const compared = await compare(context, fleet);
    const { version, difference, kept } = compared;
    const isJson = given.has('json');
    const isDryRun = given.has('dry-run');
    if (!isJson) context.stdout.write(shown(context, compared));
    if (isDryRun || isSame(difference)) {
      if (isJson)
        print(context, given, { outcome: isDryRun ? 'compared' : 'unchanged', version, difference, kept }, '');
      return;
    }
    const change = await askFor(context, fleet.change, version, fleet.about);
    const verified = patience === null ? null : await waitUntil(context, patience, verifiedLook(change.version));
    const generation = verified?.generation ?? null;
    const away = verified?.away ?? [];
    if (isJson) print(context, given, { ...change, difference, kept, verified: generation, away }, '');
    else if (generation !== null) context.stdout.write(`generation ${generation} is ${verifiedBy(away)}\n`);
    else context.stdout.write(`kept as version ${change.version} of the intent\n`);
  },
};

const compare = async ({ api, signal }: Context, { change, about }: LoadedFleet) => {
  const outcome = await api.compare(change, signal);
  if (outcome.kind === 'compared') return outcome;
  throw outcomeFailure(outcome, about);
};

const tones = { added: 'good', changed: 'warning', removed: 'bad' } as const satisfies Readonly<Record<string, Tone>>;

/** For people: a line for each thing that differs, then what stays without being in the file. */
const shown = ({ paint }: Context, { difference, kept }: Awaited<ReturnType<typeof compare>>): string => {
  const what = [
    ...difference.options.map(() => 'changed' as const),
    ...[...difference.backends, ...difference.clients].map((relation) => relation.what),
  ];
  const marks = { added: '+', changed: '~', removed: '-' } as const;
  const lines = differenceLines(difference).map((line, index) => {
    const kind = what[index] ?? 'changed';
    return `${paint(`${marks[kind]} ${plain(line)}`, tones[kind])}\n`;
  });
  const stays = kept.length === 0 ? [] : [`${paint(`not in the file, kept: ${plain(kept.join(', '))}`, 'dim')}\n`];
  return [...(lines.length === 0 ? ['nothing to change: it is so already\n'] : lines), ...stays].join('');
};
