import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { BackplaneUnavailable } from '../../actors/ports/backplane.ts';
import { asset } from '../files/asset.ts';
import type { Connection } from './connection.ts';
import { isUnknownScript } from './failure.ts';

export type Script<Reply> = (
  connection: Connection,
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<Reply>;

/** A Lua script as a function; `operation` says what it does in a sentence that begins with "cannot". EVAL follows a NOSCRIPT, which is safe: nothing has run. */
export const script = <Reply>(
  file: string,
  reply: z.ZodType<Reply>,
  operation = file.replaceAll('-', ' '),
): Script<Reply> => {
  const lua = withHelpers(asset(`redis/scripts/${file}.lua`));
  const sha = createHash('sha1').update(lua).digest('hex');
  return (connection, keys, args) =>
    connection.run(operation, async (redis) => {
      const operands = [...keys, ...args];
      const raw = await redis.evalsha(sha, keys.length, ...operands).catch((cause: unknown) => {
        if (isUnknownScript(cause)) return redis.eval(lua, keys.length, ...operands);
        throw cause;
      });
      const parsed = reply.safeParse(raw);
      if (parsed.success) return parsed.data;
      // A script of ours over keys that somebody else has written: its answer cannot be trusted.
      throw new BackplaneUnavailable(`cannot ${operation}: the store answers nonsense`, { cause: parsed.error });
    });
};

/** The first line says under which flags the script runs, so it stays first. */
const withHelpers = (lua: string): string => {
  const end = lua.indexOf('\n') + 1;
  return `${lua.slice(0, end)}${asset('redis/scripts/shared.lua')}${lua.slice(end)}`;
};
