/** The pages of `docs`, and the options of the charm, that are written from the catalogues of the code; a test holds them against it. */
import { stringify } from 'yaml';
import { lack } from '../src/actors/model/wait-catalogue.ts';
import { remarkMeans } from '../src/actors/model/remark.ts';
import type { Entry, Lack } from '../src/actors/model/waits.ts';
import { errorCatalogue, errorCodes } from '../src/api/errors.ts';
import { waitText } from '../src/infra/cli/waits-text.ts';
import { exitMeans, exitOf } from '../src/infra/cli/exit.ts';
import { exposureOptions } from '../src/infra/kubernetes/exposure.ts';
import { valuesOf } from '../src/pgbouncer/catalogue.ts';
import { type OptionEntry, type OptionKind, options } from '../src/pgbouncer/options.ts';
import { reserved } from '../src/pgbouncer/reserved.ts';
import { unitSettingHelp } from '../src/settings.ts';

export interface Page {
  readonly file: string;
  readonly text: string;
}

export const pages = (): readonly Page[] => [
  { file: 'docs/waits.md', text: waitsPage() },
  { file: 'docs/errors.md', text: errorsPage() },
  { file: 'docs/options.md', text: optionsPage() },
  { file: 'deploy/charm/config.yaml', text: charmOptions() },
];

type Told = Omit<Entry, 'example'> & { readonly example: Lack };
const entries = (): readonly Told[] =>
  Object.values(lack).map(({ entry: { example, ...entry } }) => ({ ...entry, example: example() }));

const waitsPage = (): string => {
  const byId = [...Map.groupBy(entries(), ({ id }) => id)];
  return [
    waitsIntroduction,
    rows(['wait', 'status', 'ends with'], byId.map(waitRow)),
    ...byId.map(waitSection),
    `# Remarks: what is worth knowing of a unit that serves

They keep nobody waiting. \`troupe status\` shows them under the waits; their ids are as stable.`,
    rows(
      ['remark', 'when, and what to do'],
      Object.entries(remarkMeans).map(([id, means]) => [code(id), means]),
    ),
    '',
  ].join('\n\n');
};

const waitsIntroduction = `<!-- Written by "npm run words" from src/actors/model/wait-catalogue.ts: change it there. -->
# Waits: what a unit lacks

\`troupe status\` tells for every unit what it lacks: a stable id, a sentence (what and which: why; what to do), since when, and who can end
it. \`troupe status --json\` has them under \`waits\`, \`/metrics\` counts them. \`waiting\` ends by itself; \`blocked\` needs a person. Whatever
a unit lacks, its PgBouncers serve what they served before, unless the sentence says otherwise.

Who can end it: \`operator\` is you; \`backplane\` is the store (Redis); \`leader\` and \`units\` are coordinators, which need nothing from you;
a unit, for instance \`pgbouncer/1\`, is that one; \`backend:NAME\` is the PostgreSQL servers of that backend; \`workload\` is PgBouncer on the
unit that says so; \`kubernetes\` is the API server of the cluster. \`<name>\` stands for the name of the backend or client.`;

const waitRow = ([id, group]: readonly [string, readonly Told[]]): readonly string[] => {
  const [kinds, whom] = [
    new Set(group.map(({ example }) => example.kind)),
    new Set(group.map(({ example }) => example.on)),
  ];
  return [`[\`${id}\`](#${anchorOf(id)})`, [...kinds].join(', '), [...whom].map(code).join(', ')];
};

/** As GitHub makes it from the heading. */
const anchorOf = (id: string): string => id.replaceAll(/[^a-z0-9-]/g, '');
const code = (text: string): string => `\`${text}\``;

const waitSection = ([id, group]: readonly [string, readonly Told[]]): string =>
  [`## \`${id}\``, ...group.map(waitParagraphs)].join('\n\n');

const waitParagraphs = ({ example, happens, remedy }: Told): string =>
  [['```', asShown(example), '```'].join('\n'), `**When.** ${happens}`, `**Do.** ${remedy}`].join('\n\n');

/** As `troupe status` shows it on a wide screen after three minutes. */
const asShown = (example: Lack): string => {
  const since = new Date(0).toISOString();
  return waitText({ ...example, since }, 'pgbouncer/0', { paint: (text) => text, now: 180_000, width: 120 });
};

const errorsPage = (): string =>
  [
    `<!-- Written by "npm run words" from src/infra/cli/exit.ts and src/api/errors.ts: change it there. -->
# Errors: exit codes and error codes

What goes wrong is told in one sentence on standard error, \`troupe: what: why; what to do\`, several faults in several lines. Nothing is
half-done: what is refused left everything as it was. The sentence is for people and may change; exit codes and error codes do not.

## Exit codes of \`troupe\``,
    rows(['exit', 'means'], Object.entries(exitMeans)),
    `A change that ends with 5 is kept, and the fleet goes on with it: the units that lag are named, and \`troupe status\` says what they lack.

## Error codes of the API

Every answer that is not a success has a body \`{"error": {"code", "message", …}}\`. The last column is the exit code of a \`troupe\` verb that
was answered so.`,
    rows(
      ['code', 'HTTP', 'means', 'exit'],
      errorCodes.map((name) => {
        const { status, means } = errorCatalogue[name];
        return [code(name), String(status), means, String(exitOf[name])];
      }),
    ),
    '',
  ].join('\n\n');

const optionsPage = (): string =>
  [
    `<!-- Written by "npm run words" from src/pgbouncer and src/settings.ts: change it there. -->
# Options of the fleet, settings of a unit

Options are what the operator asks of the whole fleet: \`troupe config KEY=VALUE\`, the API, a fleet file. They are checked before they are
kept, proven by every PgBouncer before they are in force, and the same on all units.

## Options`,
    rows(['option', 'default', 'must be', 'is'], options.map(optionRow)),
    `## Settings of PgBouncer that are no options

\`troupe config\` refuses these with the reason.`,
    rows(
      ['settings', 'because'],
      reserved.map(([why, keys]) => [keys.map(code).join(', '), why]),
    ),
    `## Settings of a unit

Given to \`troupe unit\` as flags (\`--listen-address\`) or in its environment (\`TROUPE_LISTEN_ADDRESS\`); a flag wins. They hold until the
unit is started again. Unknown and impossible values stop the start, with one sentence for each.`,
    rows(
      ['setting', 'is'],
      Object.entries(unitSettingHelp).map(([name, help]) => [code(name), help]),
    ),
    '',
  ].join('\n\n');

const optionRow = (entry: OptionEntry): readonly string[] => {
  const { key, default: standard } = entry;
  return [code(key), standard === '' ? 'empty' : code(String(standard)), valuesOf(entry), aboutOption(entry)];
};

const aboutOption = ({ help, restart, since }: OptionEntry): string =>
  [
    help,
    ...(since === undefined ? [] : [`from PgBouncer ${since}`]),
    ...(restart === true ? ['changing it restarts the instances'] : []),
  ].join('; ');

/** What `juju config` offers. */
const charmOptions = (): string => {
  const each = [...options, ...exposureOptions].map((entry) => [
    entry.key,
    { type: jujuType[entry.kind.type], default: entry.default, description: charmOption(entry) },
  ]);
  return `# Written by "npm run words" from src/pgbouncer/options.ts and src/infra/kubernetes/exposure.ts: change it there.
${stringify({ options: Object.fromEntries(each) }, { lineWidth: 120 })}`;
};

const charmOption = (entry: OptionEntry): string => `${aboutOption(entry)}. Must be ${valuesOf(entry)}.`;

const jujuType: Readonly<Record<OptionKind['type'], string>> = {
  integer: 'int',
  seconds: 'float',
  flag: 'boolean',
  choice: 'string',
  text: 'string',
};

const rows = (headings: readonly string[], cells: readonly (readonly string[])[]): string =>
  [headings, headings.map(() => '---'), ...cells]
    .map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
