/**
 * `pgbouncer_exporter` in small, for where there is none: the same flags, the password out of the same file, and of its metrics those
 * of pools. At every scrape it logs in at the console anew.
 */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Client } from 'pg';

const { values } = parseArgs({
  options: {
    'web.listen-address': { type: 'string', default: ':9127' },
    'pgBouncer.connectionString': { type: 'string', default: '' },
  },
});

const columns: Readonly<Record<string, string>> = {
  cl_active: 'client_active_connections',
  cl_waiting: 'client_waiting_connections',
  sv_idle: 'server_idle_connections',
  maxwait: 'client_maxwait_seconds',
};

const metrics = async (): Promise<readonly string[]> => {
  const client = new Client({ connectionString: values['pgBouncer.connectionString'], connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, string>>('SHOW POOLS');
    const pools = rows.flatMap((row) =>
      Object.entries(columns).map(
        ([column, name]) =>
          `pgbouncer_pools_${name}{database="${row['database'] ?? ''}",user="${row['user'] ?? ''}"} ${row[column] ?? 0}`,
      ),
    );
    return ['pgbouncer_up 1', ...pools];
  } catch (cause) {
    process.stderr.write(`${String(cause)}\n`);
    return ['pgbouncer_up 0'];
  } finally {
    await client.end().catch(() => {});
  }
};

const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(values['web.listen-address']) ?? [];
createServer((request, response) => {
  if (request.url !== '/metrics') return void response.writeHead(404).end();
  void metrics().then((lines) => response.end(`${lines.join('\n')}\n`));
}).listen(Number(port), host === '' ? '0.0.0.0' : host);
