import type { z } from 'zod';
import { type ErrorBody, errorSchema } from '../../api/errors.ts';
import { CliFailure, exit } from './exit.ts';
import type { Answered } from './api-request.ts';
import { nameOf, type Place } from './place.ts';

/** The API said no, in its own words. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly error: ErrorBody['error'];
  constructor(error: ErrorBody['error']) {
    super(error.message);
    this.error = error;
  }
}

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
  const where = parsed.error.issues[0]?.path.join('.') || 'as a whole';
  throw new CliFailure(
    exit.failed,
    `${nameOf(place)}: its answer is not one that this version of troupe understands (${where}): use the version of that unit`,
    parsed.error,
  );
};

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Which no schema takes.
  }
};
