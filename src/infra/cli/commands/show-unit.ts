import { dirname, join } from 'node:path';
import type { z } from 'zod';
import type { routes } from '../../../api/routes.ts';
import type { Read } from '../answer.ts';
import { ApiRefusal } from '../api-refusal.ts';
import { apiAt, type ApiClient } from '../api-client.ts';
import { ageText } from '../duration.ts';
import { CliFailure, type Exit, exit } from '../exit.ts';
import { screenWidth } from '../progress.ts';
import { padded, plain, type Tone } from '../screen.ts';
import { NoAnswer } from '../api-request.ts';
import { heldCell, statusTone } from '../status-table.ts';
import { table } from '../table.ts';
import { unitNamed } from '../unit-number.ts';
import { type Context, print, type Verb } from '../verb.ts';
import { waitText } from '../waits-text.ts';

type UnitView = z.output<typeof routes.unit.answer.schema>;

export const showUnitVerb: Verb = {
  name: 'show-unit',
  summary: 'one unit in depth: instances, pools, what it lacks, its last decisions',
  usage: 'UNIT [--trace]',
  takes: { least: 1, most: 1 },
  flags: { trace: { help: 'with the last 200 decisions of its actors' } },
  run: async (given, context) => {
    const [text = ''] = given.words;
    const { number } = await unitNamed(text, context);
    const { value, json, note } = await viewOf(number, given.has('trace'), context);
    if (note !== '') context.stderr.write(`troupe: ${plain(note)}\n`);
    print(context, given, json, viewText(value, context));
  },
};

/**
 * Only the unit itself has its pools and its trace: its socket lies beside that of the unit we found. Without the trace, what any unit
 * knows of it will do when it cannot be asked.
 */
const viewOf = async (number: number, isTraced: boolean, { api, signal }: Context): Promise<Seen> => {
  const depth = isTraced ? (['pools', 'trace'] as const) : (['pools'] as const);
  try {
    return { ...(await api.readUnit(number, depth, signal)), note: '' };
  } catch (cause) {
    if (!(cause instanceof ApiRefusal && isOfItselfOnly(cause))) throw cause;
    const { application } = await api.status(signal);
    const itself = await fromItself(`${application}-${number}.sock`, number, depth, api, signal);
    if ('json' in itself) return { ...itself, note: '' };
    const unknown = `pools and decisions of ${application}/${number} are known to it alone, ${itself.why}`;
    if (isTraced) throw new CliFailure(itself.exit, unknown, cause);
    return { ...(await api.readUnit(number, [], signal)), note: unknown };
  }
};

type Seen = Read<UnitView> & { readonly note: string };

/** The instances of a unit may not answer, and old ones know nothing of pools. */
const isOfItselfOnly = ({ error }: ApiRefusal): boolean =>
  error.code === 'other-unit' || error.code === 'unavailable' || error.code === 'invalid-input';

const fromItself = async (
  file: string,
  number: number,
  depth: readonly ('trace' | 'pools')[],
  { place }: ApiClient,
  signal: AbortSignal,
): Promise<Read<UnitView> | { readonly exit: Exit; readonly why: string }> => {
  if (place?.kind !== 'socket') return { exit: exit.usage, why: 'ask it itself, with --api and its own address' };
  try {
    return await apiAt(join(dirname(place.path), file)).readUnit(number, depth, signal);
  } catch (away) {
    if (!(away instanceof NoAnswer || away instanceof ApiRefusal)) throw away;
    const why = `and it does not tell them here (${away.message}): ask on its machine, or with --api and its own address`;
    return { exit: away instanceof NoAnswer ? exit.unreachable : exit.failed, why };
  }
};

const viewText = ({ unit, pools, trace }: UnitView, { paint, stdout }: Context): string => {
  const width = screenWidth(stdout);
  const { budget, generation, instances, waits, remarks, weaknesses } = unit;
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
      ['INSTANCE', 'PID', 'STATE', 'PGBOUNCER', 'CLIENTS', 'SERVERS'],
      instances.map(({ id, pid, state, version }) => [
        String(id),
        String(pid ?? '-'),
        { text: state, tone: state === 'serving' ? 'good' : 'bad' },
        version ?? '',
        pools === undefined ? '' : String(sumOf(pools, id, ({ clients }) => clients.active + clients.waiting)),
        pools === undefined
          ? ''
          : String(sumOf(pools, id, ({ servers }) => servers.active + servers.idle + servers.other)),
      ]),
      paint,
    ),
    table(
      ['POOL', 'USER', 'INSTANCE', 'MODE', 'CLIENTS', 'WAITING', 'LONGEST', 'SERVERS', 'IDLE'],
      (pools ?? []).map(({ database, user, instance, mode, clients, servers, waitMs }) => [
        database,
        user,
        String(instance),
        mode,
        String(clients.active),
        { text: clients.waiting === 0 ? '' : String(clients.waiting), tone: 'warning' },
        waitMs === 0 ? '' : `${waitMs} ms`,
        String(servers.active + servers.other),
        String(servers.idle),
      ]),
      paint,
    ),
    table(
      ['BUDGET', 'SHARE', 'IN USE', 'MAY BE HELD'],
      budget.map(({ of, name, given, used, held }) => [
        `${of} ${name}`,
        given === 0 ? { text: 'none yet', tone: 'warning' } : String(given),
        String(used),
        heldCell(held, given),
      ]),
      paint,
    ),
    waits.map((wait) => waitText(wait, unit.unit, { paint, now, width })).join('\n'),
    table(
      ['REMARK', 'SINCE', 'WHAT'],
      remarks.map(({ id, since, message }) => [
        { text: id, tone: 'warning' },
        `${ageText(now - Date.parse(since))} ago`,
        message,
      ]),
      paint,
    ),
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

type Pool = NonNullable<UnitView['pools']>[number];
const sumOf = (pools: readonly Pool[], instance: number, count: (pool: Pool) => number): number =>
  pools.filter((pool) => pool.instance === instance).reduce((sum, pool) => sum + count(pool), 0);

/** What is lacking is told below in full. */
const statusText = ({ status, message, waits }: UnitView['unit']): string =>
  message === '' || waits.some((wait) => wait.message === message) ? status : `${status}: ${message}`;
