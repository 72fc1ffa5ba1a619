import type { UnitStatus } from '../../actors/model/status.ts';
import { ageText } from './duration.ts';
import { type Paint, plain, wrapped } from './screen.ts';

export type WaitStatus = UnitStatus['waits'][number];

export interface Reader {
  readonly paint: Paint;
  readonly now: number;
  /** Of the terminal; null where nothing is to be wrapped or cut. */
  readonly width: number | null;
}

/** The one wait that says most about a unit: what blocks it, else the first that it lacks. */
export const headlineOf = ({ waits }: UnitStatus): WaitStatus | undefined =>
  waits.find(({ kind }) => kind === 'blocked') ?? waits[0];

/** For a cell of a table: its id, and how many more there are. */
export const headlineText = (unit: UnitStatus): string => {
  const headline = headlineOf(unit);
  if (headline === undefined) return '';
  const others = unit.waits.length - 1;
  return others === 0 ? headline.id : `${headline.id} and ${others} more`;
};

/** The headline of each unit in full, the same of several units once; what else they lack by its id. Blocked units come first. */
export const headlines = (units: readonly UnitStatus[], reader: Reader): string => {
  const told = units.flatMap((unit) => {
    const wait = headlineOf(unit);
    return wait === undefined ? [] : [{ unit, wait }];
  });
  const same = Map.groupBy(told, ({ wait: { id, kind, on, message } }) => JSON.stringify([id, kind, on, message]));
  const groups = [...same.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { wait } = first;
    const since = group.map((one) => one.wait.since).reduce((a, b) => (Date.parse(b) < Date.parse(a) ? b : a));
    const names = group.map(({ unit }) => unit.unit);
    const others = group.flatMap(({ unit }) => unit.waits.map(({ id }) => id)).filter((id) => id !== wait.id);
    const text = [waitText({ ...wait, since }, namesOf(names, units.length), reader)];
    if (others.length > 0)
      text.push(othersText(names.length === 1 ? first.unit.unit : 'UNIT', [...new Set(others)], reader));
    return [{ kind: wait.kind, text: text.join('\n') }];
  });
  return groups
    .toSorted((a, b) => rank(a.kind) - rank(b.kind))
    .map(({ text }) => text)
    .join('\n');
};

const rank = (kind: WaitStatus['kind']): number => (kind === 'blocked' ? 0 : 1);

/** One wait in full: who lacks it since when and who can end it, and under it the sentence. */
export const waitText = ({ id, kind, since, on, message }: WaitStatus, who: string, reader: Reader): string => {
  const { paint, now } = reader;
  const head = `${paint(plain(who), 'bold')}: ${paint(kind, kind === 'blocked' ? 'bad' : 'warning')}`;
  return `${head} for ${ageText(now - Date.parse(since))} on ${plain(on)} (${plain(id)})\n${indented(message, reader)}`;
};

const othersText = (unit: string, ids: readonly string[], reader: Reader): string => {
  const [shown, rest] = [ids.slice(0, mostNamed), ids.length - mostNamed];
  return indented(
    `also ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}: "troupe show-unit ${unit}" tells them in full`,
    reader,
  );
};

const mostNamed = 4;
const namesOf = (names: readonly string[], all: number): string => {
  if (names.length > 1 && names.length === all) return 'every unit';
  const rest = names.length - mostNamed;
  return `${names.slice(0, mostNamed).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
};

const indented = (text: string, { width }: Reader): string =>
  wrapped(plain(text), width === null ? null : width - 2)
    .map((line) => `  ${line}`)
    .join('\n');
