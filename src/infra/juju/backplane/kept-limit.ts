/**
 * The charm in whose place ours is gave the whole of `max_db_connections` to each PgBouncer, ours divides it among them. A fleet that is
 * refreshed keeps what it had together, until its operator has said that the option is meant for all of it: by another value, or
 * by the action that is there for that.
 */
import { z } from 'zod';
import type { Finding } from '../../../actors/model/remark.ts';

export interface KeptLimit {
  /** `max_db_connections` when it was refreshed. */
  readonly option: number;
  readonly units: number;
  /** PgBouncers of each unit. */
  readonly instances: number;
}

export const keptLimitSchema: z.ZodType<KeptLimit> = z.object({
  option: z.int().positive(),
  units: z.int().positive(),
  instances: z.int().positive(),
});

const option = 'max_db_connections';
export const confirmingAction = 'confirm-connection-limit';

type Config = Readonly<Record<string, string | number | boolean>>;

/** What is kept from now on; null: the option means what it says. Without a limit there is none for the fleet either. */
export const keptLimitAfter = (
  before: KeptLimit | null,
  config: Config,
  {
    succeeds,
    confirms,
    ...fleet
  }: Omit<KeptLimit, 'option'> & { readonly succeeds: boolean; readonly confirms: boolean },
): KeptLimit | null => {
  const value = config[option];
  if (confirms || typeof value !== 'number' || !Number.isInteger(value) || value < 1) return null;
  if (before !== null) return before.option === value ? before : null;
  return succeeds ? { option: value, ...fleet } : null;
};

/** As many as an option may say. */
const most = 262_143;
const together = ({ option: each, units, instances }: KeptLimit): number => Math.min(each * units * instances, most);

export const configUnder = (kept: KeptLimit | null, config: Config): Config =>
  kept === null ? config : { ...config, [option]: together(kept) };

export const remarkOf = (kept: KeptLimit): Finding => ({
  id: 'kept-limit',
  message: `${option}=${kept.option} was for each PgBouncer before the refresh and is for the whole fleet now: until that is confirmed the fleet keeps the ${together(kept)} connections that it had for each database (${kept.option} for each of ${kept.instances} PgBouncers on ${kept.units} units); set ${option} to the number that the fleet is to have, or run the action ${confirmingAction} on the leader if that is ${kept.option}`,
});
