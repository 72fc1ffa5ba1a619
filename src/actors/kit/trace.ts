import type { TraceEntry } from '../model/status.ts';
import type { Clock } from '../ports/clock.ts';
import type { Decision, Effect } from './behaviour.ts';

/**
 * The last decisions of the actors, newest last. An entry says which message, whom it made the actor tell and what to do about it;
 * of their contents it keeps only what identifies them, so that no secret can get in.
 */
export interface Trace {
  decided(actor: string, message: Effect, decision: Decision<unknown, Effect>): void;
  /** A defect is traced too: the message that caused it is what one wants to know. */
  threw(actor: string, message: Effect): void;
  entries(): readonly TraceEntry[];
}

/** `onEntry` hears each as it is made; without it none is put into words before somebody asks. */
export const createTrace = (clock: Pick<Clock, 'wall'>, size = 200, onEntry?: (entry: TraceEntry) => void): Trace => {
  let kept: Kept[] = [];
  let seq = 0;
  const keep = (actor: string, message: string, tells: readonly string[], effects: readonly string[]): void => {
    seq += 1;
    const entry = { seq, wallMs: clock.wall(), actor, message, tells, effects };
    kept.push(entry);
    onEntry?.(entryOf(entry));
    if (kept.length > 2 * size) kept = kept.slice(-size);
  };
  return {
    decided: (actor, message, { tell = [], effects = [] }) => {
      const tells = tell.map(([to, { type }]) => `${to}:${type}`);
      keep(actor, summaryOf(message), tells, effects.map(summaryOf));
    },
    threw: (actor, message) => keep(actor, `${summaryOf(message)} (defect)`, [], []),
    entries: () => kept.slice(-size).map(entryOf),
  };
};

type Kept = Omit<TraceEntry, 'at'> & { readonly wallMs: number };
const entryOf = ({ wallMs, ...entry }: Kept): TraceEntry => ({ ...entry, at: new Date(wallMs).toISOString() });

/** A trace without numbers and time: the same history gives the same lines. */
export const goldenTrace = (entries: readonly TraceEntry[]): string =>
  entries
    .map(({ actor, message, tells, effects }) =>
      [
        `${actor} hears ${message}`,
        ...(tells.length > 0 ? [`tells ${tells.join(' ')}`] : []),
        ...(effects.length > 0 ? [`does ${effects.join(' + ')}`] : []),
      ].join(', '),
    )
    .map((line) => `${line}\n`)
    .join('');

/** Fields that tell one message from another of its type; whatever is not listed is not looked at. */
const identifying = [
  'hook',
  'change',
  'from',
  'unit',
  'instance',
  'name',
  'id',
  'backend',
  'relation',
  'record',
  'step',
  'after',
  'generation',
  'published',
  'epoch',
  'leadership',
  'result',
  'outcome',
  'facts',
  'kept',
  'status',
  'waits',
  'clients',
] as const;
/** Of a value that is an object: the first of these that it has. */
const labels = ['kind', 'type', 'word', 'generation', 'epoch', 'id'] as const;

const summaryOf = (message: Effect): string => {
  let summary = message.type;
  for (const field of identifying) {
    const label = labelOf(fieldOf(message, field));
    if (label !== undefined) summary += ` ${field}=${label}`;
  }
  return summary;
};

const labelOf = (value: unknown): string | undefined => {
  if (value === null) return 'none';
  if (Array.isArray(value)) return `[${value.map((item) => plain(fieldOf(item, 'id')) ?? '').join(' ')}]`;
  if (typeof value !== 'object') return plain(value);
  const label = labels.find((key) => plain(fieldOf(value, key)) !== undefined);
  return label && plain(fieldOf(value, label));
};

const plain = (value: unknown): string | undefined => {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value.length <= 60 ? value : undefined;
};

const fieldOf = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
