/**
 * Domain objects ↔ the text that is kept of them. Everything read is hostile until it passed: a length cap before the parse, depth
 * and size limits, no key that could touch a prototype, every sealed value opened at its own place, then the schema of the type.
 * What does not pass is an answer, never a throw, and is never used in part (the intent by its entries: `intent-codec.ts`).
 */
import { z } from 'zod';
import type { Application } from '../../actors/model/ids.ts';
import { canonical, escaped } from './canonical.ts';
import { type Envelope, open, type Opened, type SealKey, seal } from './seal.ts';

/** Whose secrets, under which key. */
export interface Sealer {
  readonly key: SealKey;
  readonly application: Application;
}

export type Decoded<T> =
  | { readonly kind: 'decoded'; readonly value: T }
  /** Sealed with a key that this unit does not have. */
  | { readonly kind: 'otherKey'; readonly keyId: string }
  | { readonly kind: 'corrupt'; readonly reason: string };

export interface Codec<T> {
  readonly maxLength: number;
  encode(sealer: Sealer, object: string, value: T): string;
  decode(sealer: Sealer, object: string, text: string): Decoded<T>;
}

export const codecOf = <T>(schema: z.ZodType<T>, maxLength: number): Codec<T> => ({
  maxLength,
  encode: ({ key, application }, object, value) =>
    canonical(value, (secret, field) => ({ $sealed: seal(key, { application, object, field }, secret) })),
  decode: (sealer, object, text) => {
    if (text.length > maxLength) return corrupt(`it has ${text.length} characters, more than ${maxLength}`);
    const tree = unsealed(sealer, object, text);
    if (tree.kind !== 'decoded') return tree;
    const parsed = schema.safeParse(tree.value);
    return parsed.success ? { kind: 'decoded', value: parsed.data } : corrupt(sentenceOf(parsed.error));
  },
});

/** Names the first field that does not fit, never its value. */
export const sentenceOf = (error: z.ZodError): string => {
  const [issue] = error.issues;
  return issue === undefined ? 'it has another shape' : `/${issue.path.join('/')}: ${issue.code}`;
};

export const maxDepth = 10;
const maxNodes = 200_000;
const maxKeys = 5_000;
export const corrupt = (reason: string): { readonly kind: 'corrupt'; readonly reason: string } => ({
  kind: 'corrupt',
  reason,
});

/** Parses and opens what is sealed. */
const unsealed = (sealer: Sealer, object: string, text: string): Decoded<unknown> => {
  const parsed = parsedJson(text);
  return parsed.kind === 'decoded' ? unsealedAt({ sealer, object }, parsed.value, '', 0) : parsed;
};

export const parsedJson = (text: string): Decoded<unknown> => {
  try {
    return { kind: 'decoded', value: JSON.parse(text) };
  } catch {
    return corrupt('it is not JSON');
  }
};

/** A part of an object, at its place there: so deep, and under this name. */
export const unsealedAt = (
  where: { readonly sealer: Sealer; readonly object: string },
  value: unknown,
  field: string,
  depth: number,
): Decoded<unknown> => {
  try {
    return { kind: 'decoded', value: opened({ ...where, nodes: 0 }, value, field, depth) };
  } catch (cause) {
    if (cause instanceof Unreadable) return cause.answer;
    throw cause;
  }
};

/** Ends the walk from any depth; never leaves this file. */
class Unreadable extends Error {
  readonly answer: Exclude<Decoded<never>, { readonly kind: 'decoded' }>;
  constructor(answer: Exclude<Decoded<never>, { readonly kind: 'decoded' }>) {
    super('unreadable');
    this.answer = answer;
  }
}

interface Walk {
  readonly sealer: Sealer;
  readonly object: string;
  nodes: number;
}

const opened = (walk: Walk, value: unknown, field: string, depth: number): unknown => {
  walk.nodes += 1;
  if (depth > maxDepth || walk.nodes > maxNodes) throw new Unreadable(corrupt('it is too deep or too large'));
  if (Array.isArray(value)) return value.map((item, index) => opened(walk, item, `${field}/${index}`, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length > maxKeys) throw new Unreadable(corrupt('it is too large'));
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === '$sealed') return secretAt(walk, first[1], field);
  if (entries.some(([key]) => forbidden.has(key))) throw new Unreadable(corrupt('it has a forbidden key'));
  return Object.fromEntries(
    entries.map(([key, item]) => [key, opened(walk, item, `${field}/${escaped(key)}`, depth + 1)]),
  );
};

export const forbidden: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype', '$sealed']);

const secretAt = ({ sealer, object }: Walk, value: unknown, field: string): unknown => {
  const envelope = envelopeSchema.safeParse(value);
  if (!envelope.success) throw new Unreadable(corrupt('it has a malformed sealed value'));
  const answer: Opened = open(sealer.key, { application: sealer.application, object, field }, envelope.data);
  if (answer.kind === 'opened') return answer.secret;
  throw new Unreadable(answer.kind === 'otherKey' ? answer : corrupt(`its sealed value ${field} was changed or moved`));
};

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/);
export const envelopeSchema: z.ZodType<Envelope> = z.strictObject({
  k: z.string().regex(/^[0-9a-f]{16}$/),
  s: base64url.max(24),
  i: base64url.max(24),
  t: base64url.max(24),
  c: base64url.max(1 << 20),
});
