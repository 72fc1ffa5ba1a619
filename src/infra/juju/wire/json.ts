import type { z } from 'zod';
import { parsedJson } from '../../files/codec.ts';

/** More than any bag of these interfaces holds in one value; what is longer is not looked at. */
const longest = 1024 * 1024;

/** What a value of a bag says, when it is JSON of that shape. */
export const jsonIn = <T>(text: string | undefined, schema: z.ZodType<T>): T | undefined => {
  if (text === undefined || text.length > longest) return undefined;
  const parsed = parsedJson(text);
  return parsed.kind === 'decoded' ? schema.safeParse(parsed.value).data : undefined;
};
