import { dirname, join } from 'node:path';
import type { z } from 'zod';
import type { routes } from '../../../api/routes.ts';
import { ApiRefusal } from '../answer.ts';
import { apiAt } from '../api-client.ts';
import { ageText } from '../duration.ts';
import { CliFailure, exit } from '../exit.ts';
import { screenWidth } from '../progress.ts';
import { padded, plain, type Tone } from '../screen.ts';
import { NoAnswer } from '../api-request.ts';
import { statusTone } from '../status-table.ts';
import { table } from '../table.ts';
import { unitNamed } from '../unit-number.ts';
import { type Context, print, type Verb } from '../verb.ts';
import { waitText } from '../waits-text.ts';

type UnitView = z.output<typeof routes.unit.answer.schema>;

export const showUnitVerb: Verb = {
  name: 'show-unit',
  summary: 'one unit in depth',
  usage: 'UNIT [--trace]',
  takes: { least: 1, most: 1 },
  flags: { trace: { help: 'with the last decisions of its actors' } },
  run: async (given, context) => {
    const [text = ''] = given.words;
    const { number } = await unitNamed(text, context);
    const { value, json } = await viewOf(number, given.has('trace'), context);
    print(context, given, json, viewText(value, context));
  },
};

/** Only the unit itself has its trace: its socket lies beside that of the unit we found. */
const viewOf = async (number: number, isTraced: boolean, { api, signal }: Context) => {
  try {
    return await api.readUnit(number, isTraced, signal);
  } catch (cause) {
    if (!(cause instanceof ApiRefusal && cause.error.code === 'other-unit')) throw cause;
    const { application } = await api.status(signal);
    const place = api.place;
    const unknownHere = `the decisions of ${application}/${number} are known to it alone`;
    if (place?.kind !== 'socket')
      throw new CliFailure(exit.usage, `${unknownHere}: ask it itself, with --api and its own address`, cause);
    return await apiAt(join(dirname(place.path), `${application}-${number}.sock`))
      .readUnit(number, isTraced, signal)
      .catch((away: unknown) => {
        if (!(away instanceof NoAnswer)) throw away;
        throw new CliFailure(
          exit.unreachable,
          `${unknownHere}, and it does not answer here (${away.message}): ask on its machine, or with --api and its own address`,
        );
      });
  }
};

const viewText = ({ unit, trace }: UnitView, { paint, stdout }: Context): string => {
  const width = screenWidth(stdout);
  const { generation, instances, waits, weaknesses } = unit;
  const now = Date.now();
  const facts: readonly (readonly [string, string, Tone | null])[] = [
    ['unit', `${unit.unit}${unit.leader ? ', leads' : ''}`, 'bold'],
    ['status', statusText(unit), statusTone(unit.status)],
    ['address', unit.address === '' ? 'none yet' : unit.address, null],
    ['coordinator', `pid ${unit.pid ?? 'unknown'}, version ${unit.version ?? 'unknown'}`, null],
    ['generation', String(generation.applied ?? 'none yet'), null],
    ...(generation.refused === null
      ? []
      : [['refuses', `generation ${generation.refused.generation}: ${generation.refused.reason}`, 'bad'] as const]),
    ['last seen', unit.lastSeenMs === null ? 'never' : `${ageText(unit.lastSeenMs)} ago`, null],
  ];
  const sections = [
    facts.map(([name, text, tone]) => `${paint(padded(name, 11), 'dim')}  ${paint(plain(text), tone)}`).join('\n'),
    table(
      ['INSTANCE', 'PID', 'STATE', 'PGBOUNCER'],
      instances.map(({ id, pid, state, version }) => [
        String(id),
        String(pid ?? '-'),
        { text: state, tone: state === 'serving' ? 'good' : 'bad' },
        version ?? '',
      ]),
      paint,
    ),
    waits.map((wait) => waitText(wait, unit.unit, { paint, now, width })).join('\n'),
    table(
      ['WEAKNESS', 'MENDED IN', 'WHAT'],
      weaknesses.map(({ id, mendedIn, sentence }) => [
        { text: id, tone: 'warning' },
        `PgBouncer ${mendedIn}`,
        sentence,
      ]),
      paint,
      width,
    ),
    trace === undefined
      ? ''
      : table(
          ['DECISION', 'AT', 'ACTOR', 'MESSAGE', 'TELLS', 'EFFECTS'],
          trace.map(({ seq, at, actor, message, tells, effects }) => [
            String(seq),
            at,
            actor,
            message,
            tells.join(' '),
            effects.join(' '),
          ]),
          paint,
        ),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
};

/** What is lacking is told below in full. */
const statusText = ({ status, message, waits }: UnitView['unit']): string =>
  message === '' || waits.some((wait) => wait.message === message) ? status : `${status}: ${message}`;
