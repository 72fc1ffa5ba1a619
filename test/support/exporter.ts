import { chmod, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testDirectory } from './servers.ts';

export interface ExporterProgram {
  readonly path: string;
  /** Directories of this machine that it must see. */
  readonly needs: readonly string[];
}

/** An exporter of metrics of PgBouncer: the one that TROUPE_TEST_EXPORTER names, else a small one. */
export const exporterProgram = async (): Promise<ExporterProgram> => {
  const named = process.env['TROUPE_TEST_EXPORTER'];
  if (named !== undefined) return { path: named, needs: [] };
  const path = join(await testDirectory('e-'), 'pgbouncer_exporter');
  const program = fileURLToPath(import.meta.resolve('./small-exporter.ts'));
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(path, 0o755);
  return { path, needs: [join(import.meta.dirname, '../..'), dirname(process.execPath)] };
};
