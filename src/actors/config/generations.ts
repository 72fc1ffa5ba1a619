/** A leader's work: compose from the facts, publish what is new, judge by the acknowledgements. */
import type { FleetSpec, Published, Verdict } from '../model/fleet-spec.ts';
import type { Generation, UnitName } from '../model/ids.ts';
import type { Intent, Options, UnreadableEntry } from '../model/intent.ts';
import { same } from '../model/same.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import { clustersOf } from './backends.ts';
import { type Composed, compose } from './compose.ts';
import { expectedUnits } from './missing.ts';
import { type ConfigEffect, type ConfigSettings, type ConfigState, factsFor } from './state.ts';

export const lead = (
  settings: ConfigSettings,
  before: ConfigState,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
  const composed = composedFrom(settings, before, now);
  const state = same(composed, before.composed) ? before : { ...before, composed };
  const { leadership, published: current } = state;
  if (leadership === null || !current.known || !state.intent.known || now < state.retryAt) return state;
  const intentVersion = state.intent.value?.version ?? 0;
  if (!state.publishing && composed?.kind === 'composed' && !same(composed.spec, current.value?.spec)) {
    const after = (current.value?.generation ?? 0) as Generation;
    const reason = reasonFor(state, composed.spec, settings);
    effects.push({ type: 'publish', leadership, after, spec: composed.spec, intentVersion, reason });
    return { ...state, publishing: true };
  }
  if (state.publishing || state.judging || !state.units.known) return state;
  const verdict = judged(state, composed, state.units.value);
  if (same(verdict, state.verdict)) return state;
  effects.push({ type: 'judge', leadership, verdict });
  return { ...state, judging: true };
};

/** Null while an input is unknown: whatever publishes, removes or shrinks needs all of them. */
const composedFrom = (settings: ConfigSettings, state: ConfigState, now: number): Composed | null => {
  const { intent, published: current, units, clients, leadership } = state;
  const facts = factsFor(state);
  if (leadership === null) return null;
  if (!intent.known || !current.known || !units.known || facts === null || !clients.known) return null;
  if (Object.keys(intent.value?.backends ?? {}).some((name) => !facts.has(name))) return null;
  return compose({
    options: { ...optionsOf(intent.value, state.verdict), ...heldOptions(intent.value, current.value) },
    held: new Set(namesUnreadable(intent.value, 'clients')),
    intended: intent.value?.clients ?? {},
    clients: clients.value,
    ...clustersOf(
      intent.value?.backends ?? {},
      namesUnreadable(intent.value, 'backends'),
      facts,
      current.value?.spec.backends ?? [],
    ),
    units: expectedUnits(settings, state, now),
    current: current.value,
    isPatient: now - state.publishedAt < settings.shrinkMs,
  });
};

const namesUnreadable = (intent: Intent | null, kind: UnreadableEntry['of']): readonly string[] =>
  (intent?.unreadable ?? []).flatMap(({ of, name }) => (of === kind ? [name] : []));

/** As they are published, since nobody can tell what was asked for. */
const heldOptions = (intent: Intent | null, current: Published | null): Options =>
  Object.fromEntries(
    namesUnreadable(intent, 'options').flatMap((key) => {
      const options = current?.spec.options ?? {};
      const value = Object.hasOwn(options, key) ? options[key] : undefined;
      return value === undefined ? [] : [[key, value] as const];
    }),
  );

const optionsOf = (intent: Intent | null, { good, refused }: Verdict): Options =>
  refused !== null && intent !== null && refused.intentVersion === intent.version
    ? (good?.options ?? {})
    : (intent?.options ?? {});

const reasonFor = ({ published: current, intent }: ConfigState, spec: FleetSpec, { self }: ConfigSettings): string => {
  const before = current.known ? (current.value?.spec ?? null) : null;
  if (before === null) return `first fleet spec, composed by ${self}`;
  const asked = intent.known && intent.value !== null && intent.value.reason !== '' ? ` (${intent.value.reason})` : '';
  const parts = [
    same(before.options, spec.options) ? [] : [`options changed${asked}`],
    same(before.backends, spec.backends) ? [] : ['backends changed'],
    same(before.databases, spec.databases) ? [] : ['databases changed'],
    same(before.users, spec.users) ? [] : ['clients changed'],
    same(before.slots, spec.slots) ? [] : ['roster changed'],
    same(before.holdings, spec.holdings) ? [] : ['shares moved'],
  ];
  return parts.flat().join(', ');
};

/** What the acknowledgements say about the published generation. */
const judged = (state: ConfigState, composed: Composed | null, units: readonly UnitRecord[]): Verdict => {
  const { verdict, published: current, intent } = state;
  if (!current.known || current.value === null || !intent.known) return verdict;
  const { generation, intentVersion, spec } = current.value;
  const live = units.filter(({ unit, presence }) => presence === 'live' && isSeated(spec, unit));
  const served = live.length > 0 && live.every(({ bag }) => bag?.applied === generation);
  const stands = composed?.kind === 'composed' && same(composed.spec, spec);
  const version = intent.value?.version ?? 0;
  // What the generation was made from it says itself; only a later intent that asks for nothing else is worth a word.
  const covers = stands && version > intentVersion ? Math.max(verdict.covers, version) : verdict.covers;
  const refusal = live.find(({ bag }) => bag?.refused?.generation === generation);
  const isNew = intentVersion > (verdict.good?.intentVersion ?? -1) && verdict.refused?.intentVersion !== intentVersion;
  return {
    covers,
    good:
      served && stands && verdict.good?.generation !== generation
        ? {
            generation,
            intentVersion,
            options:
              verdict.refused?.intentVersion === version
                ? (verdict.good?.options ?? {})
                : (intent.value?.options ?? {}),
          }
        : verdict.good,
    refused:
      refusal?.bag?.refused && isNew
        ? { intentVersion, reason: `${refusal.unit}: ${refusal.bag.refused.reason}` }
        : verdict.refused !== null && verdict.refused.intentVersion < version
          ? null
          : verdict.refused,
  };
};

/** A unit that the budget has no room for is not waited for. */
const isSeated = ({ slots }: FleetSpec, name: UnitName): boolean => slots.some(({ unit }) => unit === name);
