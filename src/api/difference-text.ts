import type { Moved } from '../actors/model/change.ts';
import type { Difference, RelationDifference } from '../actors/model/difference.ts';
import type { OptionValue } from '../actors/model/intent.ts';

/** One line for each thing that differs, in the order options, backends, clients. */
export const differenceLines = ({ options, backends, clients, departures }: Difference): readonly string[] => [
  ...options.map(({ key, before, after }) => `${key}: ${optionText(before)} → ${optionText(after)}`),
  ...backends.map((one) => relationLine('backend', one)),
  ...clients.map((one) => relationLine('client', one)),
  ...departures.map((unit) => `unit ${unit} asked to leave`),
];

const optionText = (value: OptionValue | null): string =>
  value === null ? 'default' : value === '' ? 'empty' : String(value);

const relationLine = (kind: string, { name, what, fields }: RelationDifference): string => {
  const said = fields.flatMap(({ field, before, after }) => {
    if (what === 'added') return after === null ? [] : [`${field} ${after}`];
    if (what === 'removed') return field === 'database' ? [`${field} ${before ?? ''}`] : [];
    if (before === null && after === null) return [`another ${field}`];
    return [`${field} ${before ?? 'default'} → ${after ?? 'default'}`];
  });
  return `${kind} ${name} ${what}${said.length === 0 ? '' : `: ${said.join(', ')}`}`;
};

const mostLines = 10;

/** Why a change was not made: who was faster, and with what. */
export const movedSentence = ({ version, by, at, since }: Moved): string => {
  const who = by === '' ? '' : `, last changed by ${by}${at === 0 ? '' : ` at ${new Date(at).toISOString()}`}`;
  return `nothing was changed: the intent is at version ${version} by now${who} (${whatMoved(since)}); look at it, then ask again`;
};

const whatMoved = (since: Difference | null): string => {
  if (since === null) return 'what changed meanwhile this unit does not know';
  const lines = differenceLines(since);
  if (lines.length === 0) return 'and it is again as it was when it was looked at';
  const more = lines.length > mostLines ? `; and ${lines.length - mostLines} more` : '';
  return `since it was looked at: ${lines.slice(0, mostLines).join('; ')}${more}`;
};
