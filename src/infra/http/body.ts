import type { z } from 'zod';
import { problemsOf } from '../../api/problems.ts';
import { Refusal } from './refusal.ts';

/**
 * Text of a body to a value. Strict where JSON.parse is not: UTF-8 only, no key twice, no key that could touch a prototype, and no
 * text that could not be kept as it is.
 */
export const jsonOf = (body: Buffer): unknown => {
  if (body.length === 0) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    const value: unknown = JSON.parse(text, refuseForbidden);
    refuseTwice(text);
    return value;
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    throw new Refusal('invalid-input', 'the body is not JSON in UTF-8');
  }
};

const refuseForbidden = (key: string, value: unknown): unknown => {
  if (key === '__proto__')
    throw new Refusal('invalid-input', 'the body has the key "__proto__", which no request needs');
  if (!isText(key) || (typeof value === 'string' && !isText(value)))
    throw new Refusal('invalid-input', 'the body holds a zero byte or half of a character: remove it');
  return value;
};

/** Stores and files hold UTF-8, and PostgreSQL and PgBouncer end a text at a zero byte. */
const isText = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** Which of the two was meant nobody knows. `text` is JSON: braces and texts are all there is to look at. */
const refuseTwice = (text: string): void => {
  const open: (Set<string> | null)[] = [];
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (colon !== undefined) {
      const key = String(JSON.parse(token.slice(0, -colon.length)));
      const keys = open.at(-1);
      if (keys?.has(key))
        throw new Refusal(
          'invalid-input',
          `the body has the key ${JSON.stringify(key.slice(0, 100))} twice in one object`,
        );
      keys?.add(key);
    }
  }
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
