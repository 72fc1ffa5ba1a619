import { z } from 'zod';
import { differenceSchema } from './change.ts';

/** Every error the API can answer, with its status. Retired codes are never used for something else. */
export const errorCatalogue = {
  'malformed-request': { status: 400, means: 'what arrived is not an HTTP request' },
  'invalid-input': {
    status: 400,
    means: 'the request, or what it asks for, is not valid; `problems` says where and why',
  },
  unauthorized: { status: 401, means: 'over TCP this needs a token, and none that this unit knows was sent' },
  forbidden: { status: 403, means: 'the token has not the scope that this needs; the message names both' },
  'not-found': { status: 404, means: 'there is nothing at this path' },
  'unknown-unit': { status: 404, means: 'the application has no such unit; `known` names those there are' },
  'unknown-client': { status: 404, means: 'there is no such client relation; `known` names those there are' },
  'unknown-relation': { status: 404, means: 'there is no such relation' },
  'other-unit': { status: 404, means: 'only that unit itself can tell: ask at its own socket' },
  'method-not-allowed': { status: 405, means: 'the path has other methods; the header Allow names them' },
  'too-slow': { status: 408, means: 'the request did not arrive in time' },
  moved: { status: 409, means: 'somebody else changed the intent since it was looked at; `moved` says who and what' },
  'too-large': { status: 413, means: 'the body is larger than any request needs to be' },
  'unsupported-media-type': { status: 415, means: 'bodies are application/json' },
  refused: { status: 422, means: 'valid, but not now or not like this; the message says why' },
  'headers-too-large': { status: 431, means: 'the headers are larger than any request needs them to be' },
  internal: { status: 500, means: 'a defect of Troupe; its log has the incident named in the message' },
  'not-yet': { status: 503, means: 'this unit cannot tell yet; the message says what it lacks. Try again' },
  unavailable: {
    status: 503,
    means: 'something did not answer; the message says what, and what is known of the outcome',
  },
  'too-many-watchers': { status: 503, means: 'too many streams of events are open on this unit' },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly means: string }>>;

export type ErrorCode = keyof typeof errorCatalogue;

export const errorCodes = Object.keys(errorCatalogue).filter((code): code is ErrorCode => code in errorCatalogue);

const problemSchema = z.object({ path: z.string(), reason: z.string() });
export type Problem = Readonly<z.infer<typeof problemSchema>>;

export const errorSchema = z.object({
  error: z.object({
    code: z.enum(errorCodes),
    message: z.string().meta({ description: 'one sentence: what, which, why, what to do' }),
    problems: z.array(problemSchema).optional(),
    known: z.array(z.string()).optional(),
    moved: z
      .object({
        version: z.int(),
        by: z.string().meta({ description: 'whose change was the last one' }),
        at: z.string().meta({ description: 'ISO 8601' }).optional(),
        since: differenceSchema.nullable().optional().meta({
          description: 'what changed since the version that was looked at; null: this unit has not seen that one',
        }),
      })
      .optional(),
  }),
});
export type ErrorBody = z.infer<typeof errorSchema>;
