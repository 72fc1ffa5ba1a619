import type { OptionValue } from '../../../actors/model/intent.ts';
import type { OptionsView, UnitStatus } from '../../../actors/model/status.ts';
import { parseOption } from '../../../pgbouncer/catalogue.ts';
import { loadOptions } from '../../fleet-file/load.ts';
import { askFor } from '../change.ts';
import { CliFailure, exit } from '../exit.ts';
import { nearest } from '../nearest.ts';
import { verifiedBy } from '../standing.ts';
import { type Unheeded, unheededIn, unheededSentence } from '../unheeded.ts';
import { plain } from '../screen.ts';
import { table } from '../table.ts';
import { type Context, type Given, print, type Verb, waitFlags } from '../verb.ts';
import { patienceOf, verifiedLook, waitUntil } from '../waiting.ts';

export const configVerb: Verb = {
  name: 'config',
  summary: 'show options, or change them and wait until every unit has verified it',
  usage: '[KEY... | KEY=VALUE... [--reset KEY] [--file FILE]]',
  takes: { least: 0, most: 500 },
  flags: {
    reset: { value: 'KEY', repeats: true, help: 'back to the default; several with commas or repeated' },
    file: { value: 'FILE', help: 'options from a file, YAML or lines KEY=VALUE; - reads standard input' },
    ...waitFlags,
  },
  run: async (given, context) => {
    const asked = await askedFor(given, context);
    const patience = patienceOf(given);
    const view = await context.api.readOptions(context.signal);
    const { units } = await context.api.status(context.signal);
    if (asked.kind === 'change') await change(asked.options, { view: view.value, units }, patience, given, context);
    else show(asked.keys, { ...view, units }, given, context);
  },
};

type Wanted = Readonly<Record<string, OptionValue | null>>;
type Asked =
  | { readonly kind: 'show'; readonly keys: readonly string[] }
  | { readonly kind: 'change'; readonly options: Wanted };

const askedFor = async (given: Given, context: Context): Promise<Asked> => {
  const settings = given.words.filter((word) => word.includes('='));
  const keys = given.words.filter((word) => !word.includes('='));
  const resets = given.all('reset').flatMap((text) => text.split(','));
  const file = given.text('file');
  if (settings.length + resets.length === 0 && file === null) return { kind: 'show', keys };
  if (keys.length > 0)
    throw new CliFailure(exit.usage, `${keys.join(', ')}: show options or change them (KEY=VALUE), not both at once`);
  const entries = [
    ...(file === null ? [] : await optionsIn(file, context)),
    ...settings.map((text) => settingOf(text)),
    ...resets.map((key): readonly [string, null] => [key, null]),
  ];
  const twice = entries.find(([key], index) => entries.findIndex(([other]) => other === key) < index);
  if (twice !== undefined) throw new CliFailure(exit.usage, `${JSON.stringify(twice[0])} is given twice`);
  return { kind: 'change', options: Object.fromEntries(entries) };
};

const optionsIn = async (file: string, { stdin }: Context): Promise<readonly (readonly [string, OptionValue])[]> => {
  const loaded = await loadOptions(file, stdin);
  if (loaded.kind === 'faults') throw new CliFailure(exit.usage, loaded.sentences);
  return Object.entries(loaded.value);
};

/** What is no value of the option goes on as text: the unit says what is wrong with it, in one place for everybody. */
const settingOf = (text: string): readonly [string, OptionValue] => {
  const at = text.indexOf('=');
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (key === '') throw new CliFailure(exit.usage, `${JSON.stringify(text)}: a key is missing before "="`);
  const read = parseOption(key, value);
  return [key, read.ok ? read.value : value];
};

const show = (
  keys: readonly string[],
  {
    value: { options },
    json,
    units,
  }: { readonly value: OptionsView; readonly json: unknown; readonly units: readonly UnitStatus[] },
  given: Given,
  context: Context,
): void => {
  const { paint } = context;
  const shown = keys.map((key) => {
    const option = options.find((one) => one.key === key);
    if (option === undefined) throw new CliFailure(exit.usage, unknownKey(key, options));
    return option;
  });
  const rows = (keys.length === 0 ? options : shown).toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const set = rows.filter((option) => option.set);
  const unheeded = unheededIn(Object.fromEntries(set.map(({ key, value }) => [key, value])), units);
  const withUnits = shown.map((option) => ({
    ...option,
    unheededBy: unheeded.find(({ key }) => key === option.key)?.units ?? [],
  }));
  warn(unheeded, given, context);
  const [only] = withUnits;
  if (only !== undefined && withUnits.length === 1) {
    print(context, given, only, String(only.value));
    return;
  }
  const text = table(
    ['OPTION', 'VALUE', 'DEFAULT', 'ABOUT'],
    rows.map((option) => [
      option.key,
      { text: String(option.value), tone: option.set ? 'bold' : null },
      option.set ? String(option.default) : '',
      { text: option.help, tone: 'dim' },
    ]),
    paint,
  );
  print(context, given, keys.length === 0 ? Object.assign({}, json, { unheeded }) : withUnits, text);
};

/** Beside what was asked for, which may go to a program. */
const warn = (unheeded: readonly Unheeded[], given: Given, { stderr }: Context): void => {
  if (given.has('json')) return;
  for (const one of unheeded) stderr.write(`troupe: ${plain(unheededSentence(one))}\n`);
};

const unknownKey = (key: string, options: OptionsView['options']): string => {
  const meant = nearest(
    key,
    options.map((option) => option.key),
  );
  return `there is no option ${JSON.stringify(key)}${meant === null ? '' : `: did you mean ${meant}?`} (troupe config lists them)`;
};

const change = async (
  wanted: Wanted,
  { view, units }: { readonly view: OptionsView; readonly units: readonly UnitStatus[] },
  patience: number | null,
  given: Given,
  context: Context,
): Promise<void> => {
  for (const [key, value] of Object.entries(wanted))
    if (value === null && !view.options.some((option) => option.key === key))
      throw new CliFailure(exit.usage, unknownKey(key, view.options));
  const kept = await askFor(context, { type: 'setOptions', options: wanted }, view.version);
  const changes = kept.outcome === 'unchanged' ? [] : differences(wanted, view);
  const unheeded = unheededIn(
    Object.fromEntries(Object.entries(wanted).flatMap(([key, value]) => (value === null ? [] : [[key, value]]))),
    units,
  );
  const isJson = given.has('json');
  if (!isJson)
    context.stdout.write(
      changes.length === 0
        ? 'nothing to change: it is so already\n'
        : changes.map(({ key, before, after }) => `${key}: ${before} → ${after}\n`).join(''),
    );
  warn(unheeded, given, context);
  const verified = patience === null ? null : await waitUntil(context, patience, verifiedLook(kept.version));
  const generation = verified?.generation ?? null;
  const away = verified?.away ?? [];
  if (isJson) print(context, given, { ...kept, changes, verified: generation, away, unheeded }, '');
  else if (generation !== null) context.stdout.write(`generation ${generation} is ${verifiedBy(away)}\n`);
};

const differences = (wanted: Wanted, { options }: OptionsView) =>
  Object.entries(wanted).flatMap(([key, value]) => {
    const option = options.find((one) => one.key === key);
    const before = option === undefined ? '' : valueText(option.value, option.set);
    const after = value === null ? valueText(option?.default ?? '', false) : valueText(value, true);
    return before === after ? [] : [{ key, before, after }];
  });

const valueText = (value: OptionValue, isSet: boolean): string => `${value}${isSet ? '' : ' (default)'}`;
