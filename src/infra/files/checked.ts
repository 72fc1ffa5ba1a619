import { z } from 'zod';
import { digestOf } from './stored-object.ts';

/** JSON of an object with a checksum as its last field: a file that lost its end, or a bit, is told from a good one. */
export const checked = (value: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ ...value, digest: digestOf(JSON.stringify(value)) });

/** Undefined for what is not whole. Without a checksum it is of an earlier version. */
export const unchecked = (text: string): unknown => {
  try {
    const { digest, ...value } = record.parse(JSON.parse(text));
    return digest === undefined || digest === digestOf(JSON.stringify(value)) ? value : undefined;
  } catch {
    return undefined;
  }
};

const record = z.record(z.string(), z.unknown());
