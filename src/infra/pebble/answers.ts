/** What Pebble says, as far as anybody here listens; the rest of it is dropped. */
import { z } from 'zod';

export const systemInfo = z.object({ 'boot-id': z.string(), version: z.string() });
export type SystemInfo = z.infer<typeof systemInfo>;

const task = z.object({
  id: z.string(),
  kind: z.string(),
  status: z.string(),
  log: z.array(z.string()).nullish(),
  data: z.object({ 'exit-code': z.number().optional() }).nullish(),
});
export const change = z.object({
  id: z.string(),
  kind: z.string(),
  status: z.string(),
  ready: z.boolean(),
  err: z.string().optional(),
  tasks: z
    .array(task)
    .nullish()
    .transform((tasks) => tasks ?? []),
});
export type Change = z.infer<typeof change>;

const service = z.object({
  name: z.string(),
  startup: z.string(),
  /** `active`, `inactive`, `backoff` (ended, to be started again) or `error` (ended, and left so). */
  current: z.string(),
});
export const services = z.array(service);
export type ServiceInfo = z.infer<typeof service>;

const fileInfo = z.object({
  path: z.string(),
  name: z.string(),
  /** `file`, `directory`, `symlink`, `socket`, `named-pipe`, `device`, `unknown`. */
  type: z.string(),
  size: z.number().optional(),
  /** Three octal digits. */
  permissions: z.string(),
  'last-modified': z.string(),
  'user-id': z.number().nullable(),
  user: z.string().nullable(),
});
export const fileInfos = z.array(fileInfo);
export type FileInfo = z.infer<typeof fileInfo>;

const fileResult = z.object({
  path: z.string(),
  error: z.object({ kind: z.string().optional(), message: z.string() }).nullish(),
});
export const fileResults = z.array(fileResult);
export type FileResult = z.infer<typeof fileResult>;

export const execution = z.object({ 'task-id': z.string() });

const notice = z.object({
  id: z.string(),
  type: z.string(),
  key: z.string(),
  'last-repeated': z.string(),
  occurrences: z.number(),
  'last-data': z.record(z.string(), z.string()).nullish(),
});
export const notices = z
  .array(notice)
  .nullable()
  .transform((list) => list ?? []);
export type Notice = z.infer<typeof notice>;
export const noticed = z.object({ id: z.string() });

const check = z.object({
  name: z.string(),
  /** `alive` or `ready`: in what Kubernetes is told the check counts. */
  level: z.string().optional(),
  status: z.string(),
  failures: z.number().optional(),
  threshold: z.number(),
});
export const checks = z
  .array(check)
  .nullable()
  .transform((list) => list ?? []);
export type CheckInfo = z.infer<typeof check>;

export const logEntry = z.object({ time: z.string(), service: z.string(), message: z.string() });
export type LogEntry = z.infer<typeof logEntry>;

const maintenance = z.object({ kind: z.string().optional(), message: z.string().optional() });
export const envelope = z.discriminatedUnion('type', [
  z.object({ type: z.literal('sync'), result: z.unknown(), maintenance: maintenance.nullish() }),
  z.object({ type: z.literal('async'), change: z.string(), result: z.unknown(), maintenance: maintenance.nullish() }),
  z.object({
    type: z.literal('error'),
    'status-code': z.number(),
    result: z.object({ message: z.string(), kind: z.string().optional() }),
    maintenance: maintenance.nullish(),
  }),
]);
export type Envelope = z.infer<typeof envelope>;
