import type { z } from 'zod';
import type { Problem } from './errors.ts';

/** What is wrong with a request, in our words: path and reason, never the value, which may be a secret. */
export const problemsOf = (error: z.ZodError): readonly Problem[] =>
  error.issues.flatMap((issue) => sayings(issue)).slice(0, mostProblems);

const mostProblems = 20;

const sayings = (issue: z.core.$ZodIssue): readonly Problem[] => {
  const path = issue.path.map((part) => String(part).slice(0, 100)).join('.');
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      path: [...(path === '' ? [] : [path]), key.slice(0, 100)].join('.'),
      reason: 'is not a field of this request: remove it',
    }));
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => ({ path, reason: `its name ${message}` }));
  if (issue.code === 'invalid_type') return [{ path: path === '' ? 'body' : path, reason: typeReason(issue) }];
  return [{ path, reason: issue.message }];
};

const typeReason = ({ expected, message }: z.core.$ZodIssueInvalidType): string => {
  if (message.endsWith('received undefined')) return 'is missing';
  return `must be ${words[expected] ?? expected}`;
};

const words: Readonly<Record<string, string>> = {
  string: 'a text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};
