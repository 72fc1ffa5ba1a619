/**
 * Asks consoles over IPC. PgBouncer lets `pgbouncer` in without a password when the caller has its own user id: so everything is
 * imported first, from a checkout that only root may be able to read, and then this process becomes the service account.
 */
import { Client } from 'pg';
import type { ConsoleAnswer, ConsoleQuestion } from './pgbouncer-process.ts';

const asText = { getTypeParser: () => (text: string) => text };

const ask = async ({ id, socketDir, port, text }: ConsoleQuestion): Promise<ConsoleAnswer> => {
  const client = new Client({
    host: socketDir,
    port,
    user: 'pgbouncer',
    database: 'pgbouncer',
    password: '',
    types: asText,
  });
  try {
    await client.connect();
    return { id, rows: (await client.query(text)).rows };
  } catch (cause) {
    return { id, error: cause instanceof Error ? cause.message : String(cause) };
  } finally {
    await client.end();
  }
};

const become = ({ uid, gid }: { readonly uid: number; readonly gid: number }): void => {
  if (process.getuid?.() !== 0) return;
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
};

process.on('message', (question: ConsoleQuestion) => {
  become(question.account);
  void ask(question).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit());
