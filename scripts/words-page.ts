/** The pages of `docs` that are written from the catalogues of the code; a test holds them against it. */
import { lack } from '../src/actors/model/wait-catalogue.ts';
import type { Entry, Lack } from '../src/actors/model/waits.ts';

export interface Page {
  readonly file: string;
  readonly text: string;
}

export const pages = (): readonly Page[] => [{ file: 'docs/waits.md', text: waitsPage() }];

type Told = Omit<Entry, 'example'> & { readonly example: Lack };
const entries = (): readonly Told[] =>
  Object.values(lack).map(({ entry: { example, ...entry } }) => ({ ...entry, example: example() }));

const waitsPage = (): string => {
  const byId = [...Map.groupBy(entries(), ({ id }) => id)];
  return [
    waitsIntroduction,
    ['| wait | status | ends with |', '|---|---|---|', ...byId.map(waitRow)].join('\n'),
    ...byId.map(waitSection),
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
unit that says so. \`<name>\` stands for the name of the backend or client.`;

const waitRow = ([id, group]: readonly [string, readonly Told[]]): string => {
  const [kinds, whom] = [
    new Set(group.map(({ example }) => example.kind)),
    new Set(group.map(({ example }) => example.on)),
  ];
  return `| [\`${id}\`](#${anchorOf(id)}) | ${[...kinds].join(', ')} | ${[...whom].map(code).join(', ')} |`;
};

/** As GitHub makes it from the heading. */
const anchorOf = (id: string): string => id.replaceAll(/[^a-z0-9-]/g, '');
const code = (text: string): string => `\`${text}\``;

const waitSection = ([id, group]: readonly [string, readonly Told[]]): string =>
  [`## \`${id}\``, ...group.map(waitParagraphs)].join('\n\n');

const waitParagraphs = ({ example, happens, remedy }: Told): string =>
  [
    ['```', `${example.kind}, on ${example.on}`, example.message, '```'].join('\n'),
    `**When.** ${happens}`,
    `**Do.** ${remedy}`,
  ].join('\n\n');
