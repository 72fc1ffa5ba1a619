import { CliFailure, exit } from './exit.ts';

const factors = { s: 1_000, m: 60_000, h: 3_600_000 } as const;
const longestMs = 24 * 3_600_000;

/** `--timeout`: seconds, or with a unit. */
export const timeoutMs = (text: string): number => {
  const [, number, unit = 's'] = /^(\d{1,6}(?:\.\d{1,3})?)([smh])?$/.exec(text) ?? [];
  const ms = Number(number) * (unit === 'h' ? factors.h : unit === 'm' ? factors.m : factors.s);
  if (!(ms > 0 && ms <= longestMs))
    throw new CliFailure(exit.usage, `--timeout ${JSON.stringify(text)}: must be seconds such as 30, or 5m, up to 24h`);
  return ms;
};

/** For people: the largest unit that fits. */
export const ageText = (ms: number): string => {
  const s = Math.max(0, Math.floor(ms / 1_000));
  if (s < 120) return `${s}s`;
  if (s < 2 * 3_600) return `${Math.floor(s / 60)}m`;
  return s < 48 * 3_600 ? `${Math.floor(s / 3_600)}h` : `${Math.floor(s / 86_400)}d`;
};
