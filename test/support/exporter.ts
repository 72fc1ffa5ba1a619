import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testDirectory } from './servers.ts';

/** An exporter of metrics of PgBouncer: the one that TROUPE_TEST_EXPORTER names, else a small one. Its path. */
export const exporterProgram = async (): Promise<string> => {
  const named = process.env['TROUPE_TEST_EXPORTER'];
  if (named !== undefined) return named;
  const path = join(await testDirectory('e-'), 'pgbouncer_exporter');
  const program = fileURLToPath(import.meta.resolve('./small-exporter.ts'));
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(path, 0o755);
  return path;
};
