import { z } from 'zod';
import type { ProcessMark } from '../../src/infra/files/process-mark.ts';

/** What a test asks the process that owns the servers of a run, and what it hears. */
export const questionSchema = z.discriminatedUnion('type', [
  /** A shared server is started by the first who asks and lives as long as the run. */
  z.object({ type: z.literal('start'), provider: z.string(), shared: z.boolean() }),
  z.object({
    type: z.literal('act'),
    id: z.string(),
    action: z.enum(['freeze', 'thaw', 'kill', 'startAgain', 'stop']),
  }),
  z.object({ type: z.literal('log'), id: z.string() }),
  /** Of a server of PostgreSQL. */
  z.object({ type: z.literal('standby'), id: z.string() }),
  z.object({ type: z.literal('pgbouncers') }),
  z.object({ type: z.literal('program') }),
  z.object({ type: z.literal('charm') }),
]);
export type Question = z.infer<typeof questionSchema>;
export type Action = Extract<Question, { type: 'act' }>['action'];

export const startedSchema = z.object({
  id: z.string(),
  label: z.string(),
  host: z.string(),
  port: z.int(),
  username: z.string(),
  password: z.string(),
  /** Holds the password; readable by the service account. */
  passwordFile: z.string(),
});
export type Started = z.infer<typeof startedSchema>;

export const pgbouncersSchema = z.array(
  z.object({ version: z.string(), run: z.string().nullable(), reason: z.string().nullable() }),
);

declare module 'vitest' {
  interface ProvidedContext {
    testServers: {
      /** Unix socket of the broker. */
      readonly socket: string;
      /** Everything a run leaves on disk is below it. */
      readonly root: string;
      readonly account: { readonly name: string; readonly uid: number; readonly gid: number };
      /** Whose all that a test starts is: the process that looks whether anything was left. */
      readonly owner: ProcessMark;
      readonly redis: readonly string[];
      readonly postgres: readonly string[];
    };
  }
}
