import type { z } from 'zod';
import { errorSchema } from '../../api/errors.ts';
import { jsonIn, notUnderstood } from './answer-text.ts';
import { ApiRefusal } from './api-refusal.ts';
import type { Answered } from './api-request.ts';
import type { Place } from './place.ts';

/** An answer as our schema reads it, and as it came: newer units say more. */
export interface Read<T> {
  readonly value: T;
  readonly json: unknown;
}

export const readAnswer = <S extends z.ZodType>(
  place: Place,
  schema: S,
  { status, text }: Answered,
): Read<z.output<S>> => {
  if (status === 200) return readText(place, schema, text);
  throw new ApiRefusal(readText(place, errorSchema, text).value.error);
};

export const readText = <S extends z.ZodType>(place: Place, schema: S, text: string): Read<z.output<S>> => {
  const json = jsonIn(text);
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data, json };
  throw notUnderstood(place, parsed.error.issues[0]?.path.join('.') || 'as a whole', parsed.error);
};
