import type { FleetStatus, RelationStatus, UnitStatus } from '../../actors/model/status.ts';
import type { StatusWord } from '../../actors/model/waits.ts';
import { ageText } from './duration.ts';
import { padded, type Paint, paintWith, plain, type Tone } from './screen.ts';
import { awayFrom, verifiedBy } from './standing.ts';
import { type Cell, table } from './table.ts';
import { headlineOf, headlines, headlineText } from './waits-text.ts';

/** The fleet on one screen: who leads, what is in force, the units, the relations, and what anybody waits for. */
export const statusTable = (
  status: FleetStatus,
  {
    colour,
    width,
    now = Date.now(),
  }: { readonly colour: boolean; readonly width: number | null; readonly now?: number },
): string => {
  const paint = paintWith(colour);
  const told = new Set(status.units.flatMap((unit) => headlineOf(unit)?.message ?? []));
  const sections = [
    summary(status, paint, now),
    table(unitHeadings, status.units.map(unitRow), paint, width),
    table(
      relationHeadings,
      status.relations.toSorted(byName).map((relation) => relationRow(relation, told)),
      paint,
      width,
    ),
    table(
      ['BUDGET', 'CONNECTIONS', 'SHARED OUT', 'IN USE', 'MAY BE HELD'],
      status.budgets.map(({ of, name, total, given, used, held }) => [
        `${of} ${name}`,
        String(total),
        given === total ? String(given) : { text: String(given), tone: 'warning' },
        String(used),
        heldCell(held, total),
      ]),
      paint,
      width,
    ),
    headlines(status.units, { paint, now, width }),
    table(
      ['REMARK', 'SINCE', 'WHAT'],
      status.units.flatMap(({ unit, remarks }) =>
        remarks.map(({ message, since }) => [unit, `${ageText(now - Date.parse(since))} ago`, message]),
      ),
      paint,
      width,
    ),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
};

const summary = (
  { application, leader, generation, intent, backplane, units }: FleetStatus,
  paint: Paint,
  now: number,
): string => {
  const { published, good, refused } = generation;
  const isConnected = backplane.state === 'connected';
  const lines: readonly (readonly [string, string, Tone | null])[] = [
    ['application', `${application}: ${standText(units, generation)}`, 'bold'],
    leader === null ? ['leader', 'nobody', 'bad'] : ['leader', `${leader.unit}, epoch ${leader.epoch}`, null],
    ['generation', generationText(published, good, awayFrom(units, published)), published === good ? null : 'warning'],
    ...(refused === null
      ? []
      : [['refused', `version ${refused.intentVersion} of the intent: ${refused.reason}`, 'bad'] as const]),
    [
      'intent',
      intent === null
        ? 'none yet'
        : `version ${intent.version}, by ${intent.author} ${ageText(now - Date.parse(intent.at))} ago`,
      null,
    ],
    [
      'backplane',
      isConnected
        ? `${backplane.kind}, connected`
        : `${backplane.kind}, ${backplane.state} for ${ageText(now - Date.parse(backplane.since))}${backplane.message === '' ? '' : `: ${backplane.message}`}`,
      isConnected ? null : 'bad',
    ],
  ];
  return lines.map(([name, text, tone]) => `${paint(padded(name, 11), 'dim')}  ${paint(plain(text), tone)}`).join('\n');
};

/** The fleet in one line: `2 of 3 units active, 1 blocked; generation 7 good`. */
const standText = (units: readonly UnitStatus[], { published, good }: FleetStatus['generation']): string => {
  const words = Map.groupBy(units, ({ status }) => status);
  const active = words.get('active')?.length ?? 0;
  const others = [...words].flatMap(([word, { length }]) => (word === 'active' ? [] : [`${length} ${word}`]));
  const generation =
    published === null
      ? 'no generation yet'
      : published === good
        ? `generation ${good} good`
        : `generation ${published} not verified yet`;
  return `${[`${active} of ${units.length} units active`, ...others.toSorted()].join(', ')}; ${generation}`;
};

const generationText = (published: number | null, good: number | null, away: readonly string[]): string => {
  if (published === null) return 'none yet';
  if (published === good) return `${published}, ${verifiedBy(away)}`;
  return `${published} published, ${good ?? 'none'} verified`;
};

const unitHeadings = ['UNIT', 'STATUS', 'ADDRESS', 'GENERATION', 'INSTANCES', 'PGBOUNCER', 'LAST SEEN', 'MESSAGE'];

/** Older than this is worth telling. */
const freshMs = 5_000;

const unitRow = (unit: UnitStatus): readonly Cell[] => {
  const { generation, lastSeenMs, message, status } = unit;
  return [
    `${unit.unit}${unit.leader ? '*' : ''}`,
    { text: status, tone: statusTone(status) },
    unit.address,
    generation.refused === null
      ? String(generation.applied ?? '-')
      : { text: `${generation.applied ?? '-'} (refuses ${generation.refused.generation})`, tone: 'bad' },
    instancesCell(unit),
    versionsOf(unit),
    lastSeenMs === null || lastSeenMs < freshMs ? '' : `${ageText(lastSeenMs)} ago`,
    headlineOf(unit)?.message === message ? headlineText(unit) : message,
  ];
};

export const statusTone = (status: StatusWord | RelationStatus['state']): Tone => {
  if (status === 'active') return 'good';
  return status === 'blocked' || status === 'down' || status === 'unknown' ? 'bad' : 'warning';
};

/** What is within the limit says nothing new. */
export const heldCell = (held: number | null, limit: number): Cell =>
  held !== null && held <= limit ? '' : { text: held === null ? 'no limit yet' : String(held), tone: 'warning' };

const instancesCell = ({ instances }: UnitStatus): Cell => {
  const serving = instances.filter(({ state }) => state === 'serving').length;
  const others = instances.filter(({ state }) => state !== 'serving').map(({ id, state }) => `${id} ${state}`);
  const text = `${serving}/${instances.length}`;
  return others.length === 0 ? text : { text: `${text} (${others.join(', ')})`, tone: 'bad' };
};

const versionsOf = ({ instances }: UnitStatus): string =>
  [...new Set(instances.flatMap(({ version }) => (version === null ? [] : [version])))].toSorted().join(', ');

const relationHeadings = ['RELATION', 'ENDPOINT', 'DATABASE', 'STATE', 'MESSAGE'];

/** Backends first, then clients, each by name. */
const byName = (a: RelationStatus, b: RelationStatus): number =>
  a.endpoint === b.endpoint ? (a.name < b.name ? -1 : 1) : a.endpoint < b.endpoint ? -1 : 1;

/** What is told below is not told here again. */
const relationRow = (
  { name, endpoint, database, life, state, message }: RelationStatus,
  told: ReadonlySet<string>,
): readonly Cell[] => [
  name,
  endpoint,
  database ?? '',
  life === 'dying' ? { text: 'dying', tone: 'warning' } : { text: state, tone: statusTone(state) },
  message === `database ${database}` || told.has(message) ? '' : message,
];
