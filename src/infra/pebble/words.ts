import type { Unit } from './unit.ts';

/** What a service of ours has written since a wall-clock time, as text. Pebble keeps the last of it only. */
export const saidSince = async (
  { pebble }: Unit,
  service: string,
  sinceMs: number,
  signal: AbortSignal,
): Promise<string> => {
  const lines = await pebble.logs([service], 100, signal);
  return lines
    .filter(({ time }) => Date.parse(time) >= Math.floor(sinceMs))
    .map(({ message }) => message)
    .join('\n');
};
