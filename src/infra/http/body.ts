import type { z } from 'zod';
import { problemsOf } from '../../api/problems.ts';
import { Refusal } from './refusal.ts';

/** Text of a body to a value. Strict where JSON.parse is not: UTF-8 only, and no key that could touch a prototype. */
export const jsonOf = (body: Buffer): unknown => {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body), refuseForbidden);
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    throw new Refusal('invalid-input', 'the body is not JSON in UTF-8');
  }
};

const refuseForbidden = (key: string, value: unknown): unknown => {
  if (key === '__proto__')
    throw new Refusal('invalid-input', 'the body has the key "__proto__", which no request needs');
  return value;
};

/** The value as a request means it, or a refusal that says where and why. */
export const parsed = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = problemsOf(result.error);
  throw new Refusal('invalid-input', sentenceOf(problems), { problems: [...problems] });
};

export const sentenceOf = (problems: readonly { readonly path: string; readonly reason: string }[]): string =>
  problems.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
