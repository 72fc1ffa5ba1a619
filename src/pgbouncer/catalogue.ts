/**
 * What may be asked of PgBouncer, checked before it is: PgBouncer itself reads `010` as 8, takes -5 for a limit, and after a line it
 * does not understand forgets all the following ones.
 */
import type { Options, OptionValue } from '../actors/model/intent.ts';
import { quoted } from '../actors/model/quoted.ts';
import type { OptionsView } from '../actors/model/status.ts';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { nearest } from './nearest.ts';
import { type OptionEntry, options } from './options.ts';
import { whyReserved } from './reserved.ts';
import { isAtLeast } from './version.ts';

export interface OptionProblem {
  readonly path: string;
  readonly reason: string;
}
export type ParsedOption =
  | { readonly ok: true; readonly value: OptionValue }
  | { readonly ok: false; readonly reason: string };

const byKey: ReadonlyMap<string, OptionEntry> = new Map(options.map((entry) => [entry.key, entry]));

export const optionOf = (key: string): OptionEntry | undefined => byKey.get(key);

/** An option as somebody writes it on a command line or in a file of words. */
export const parseOption = (key: string, text: string): ParsedOption => {
  const entry = byKey.get(key);
  if (entry === undefined) return { ok: false, reason: whyUnknown(key) };
  const value = valueOf(entry, text);
  const reason = problemOf(entry, value);
  return reason === null ? { ok: true, value } : { ok: false, reason };
};

/** What is wrong with these options; empty when nothing is. */
export const checkOptions = (given: Readonly<Record<string, unknown>>): readonly OptionProblem[] =>
  Object.entries(given).flatMap(([key, value]) => {
    const entry = byKey.get(key);
    const reason = entry === undefined ? whyUnknown(key) : problemOf(entry, value);
    return reason === null ? [] : [{ path: `options.${key}`, reason }];
  });

/** Every option with its value, the default where none is given. */
export const completeOptions = (given: Options): Options =>
  Object.fromEntries(options.map((entry) => [entry.key, valueIn(given, entry)]));

export const optionsView = (given: Options): OptionsView['options'] =>
  options.map((entry) => ({
    key: entry.key,
    value: valueIn(given, entry),
    default: entry.default,
    set: Object.hasOwn(given, entry.key),
    help: helpOf(entry),
  }));

/** Value of a setting as PgBouncer takes it; null when this version has no such setting, or it is none of PgBouncer. */
export const renderedOption = (entry: OptionEntry, given: Options, version: PgBouncerVersion): string | null => {
  if (entry.own === true || !isHeeded(entry, version)) return null;
  const value = valueIn(given, entry);
  return typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
};

export interface UnheededOption {
  readonly key: string;
  /** First version of PgBouncer that knows it. */
  readonly needs: string;
}

/** Options that somebody asked for and that this version cannot heed. */
export const unheededOptions = (given: Options, version: PgBouncerVersion): readonly UnheededOption[] =>
  options.flatMap((entry) => {
    const { key, since, default: standard } = entry;
    return since === undefined || valueIn(given, entry) === standard || isHeeded(entry, version)
      ? []
      : [{ key, needs: since }];
  });

const isHeeded = ({ since }: OptionEntry, version: PgBouncerVersion): boolean =>
  since === undefined || isAtLeast(version, since);

const valueIn = (given: Options, { key, default: standard }: OptionEntry): OptionValue => given[key] ?? standard;

const helpOf = ({ help, restart, since }: OptionEntry): string =>
  [
    help,
    ...(since === undefined ? [] : [`from PgBouncer ${since}`]),
    ...(restart ? ['restarts the instances'] : []),
  ].join('; ');

/** Text that is no value of its kind is left as it is, for `problemOf` to say so. `010` is 8 to some and 10 to others: it is none. */
const valueOf = ({ kind }: OptionEntry, text: string): OptionValue => {
  switch (kind.type) {
    case 'integer':
      return /^-?(?:0|[1-9]\d{0,14})$/.test(text) ? Number(text) + 0 : text; // Not -0.
    case 'seconds':
      return /^-?(?:0|[1-9]\d{0,8})(?:\.\d{1,3})?$/.test(text) ? Number(text) + 0 : text;
    case 'flag':
      return /^(?:true|on|yes|1)$/i.test(text) ? true : /^(?:false|off|no|0)$/i.test(text) ? false : text;
    case 'choice':
      return text.toLowerCase();
    case 'text':
      return text;
  }
};

/** What a value must be, as a refusal says it. */
export const valuesOf = ({ kind }: OptionEntry): string => {
  switch (kind.type) {
    case 'integer':
      return `a whole number ${range(kind)}`;
    case 'seconds':
      return `a number of seconds ${range(kind)}, without a unit`;
    case 'flag':
      return 'true or false';
    case 'choice':
      return `one of ${kind.among.join(', ')}`;
    case 'text':
      return kind.what;
  }
};

/** Why a value cannot be that of an option; null when it can. */
export const problemOf = (entry: OptionEntry, value: unknown): string | null =>
  isValue(entry, value)
    ? null
    : `${entry.key}=${shown(value)} must be ${valuesOf(entry)}${isNumber(entry) ? ', in plain decimal digits' : ''}`;

const isValue = ({ kind }: OptionEntry, value: unknown): boolean => {
  switch (kind.type) {
    case 'integer':
      return Number.isSafeInteger(value) && isWithin(value, kind);
    case 'seconds':
      return isWithin(value, kind) && /^\d+(?:\.\d{1,3})?$/.test(String(value));
    case 'flag':
      return typeof value === 'boolean';
    case 'choice':
      return typeof value === 'string' && kind.among.includes(value);
    case 'text':
      return typeof value === 'string' && value.isWellFormed() && kind.pattern.test(value);
  }
};

interface Range {
  readonly min: number;
  readonly max: number;
}
const isWithin = (value: unknown, { min, max }: Range): boolean =>
  typeof value === 'number' && value >= min && value <= max;
const range = ({ min, max }: Range): string => `from ${min} to ${max}`;
const isNumber = ({ kind }: OptionEntry): boolean => kind.type === 'integer' || kind.type === 'seconds';
/** What is plain is shown as it was written; only what could mislead is quoted. */
const shown = (value: unknown): string => {
  if (typeof value !== 'string') return quoted(String(JSON.stringify(value))).slice(1, -1);
  return /^[\x21-\x7e]{0,80}$/.test(value) ? value : quoted(value);
};

const whyUnknown = (key: string): string => {
  const why = whyReserved(key);
  if (why !== undefined) return `${key} cannot be set: ${why}`;
  const near = nearest(key.toLowerCase(), byKey.keys());
  const hint = near === null ? 'troupe config lists those there are' : `did you mean ${near}?`;
  return `there is no option ${quoted(key)}: ${hint}`;
};
