/** A Pebble as a program, for a container of its own whose first process it is. */
import { execFile } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface PebbleProgram {
  readonly label: string;
  /** `directory`: for its socket. `identities`: a file that says who else than root may do everything. */
  command(directory: string, identities: string): readonly string[];
  environment(directory: string): Readonly<Record<string, string>>;
  /** Directories of this machine that it must see. */
  readonly needs: readonly string[];
}

const socketIn = (directory: string): string => join(directory, 'pebble.socket');

/** The real one that TROUPE_TEST_PEBBLE names or that is on the path, otherwise the small one. A run that keeps a summary is told. */
export const pebbleProgram = async (): Promise<PebbleProgram> => {
  const found = (await realProgram(process.env['TROUPE_TEST_PEBBLE'] ?? 'pebble')) ?? smallProgram;
  const summary = process.env['TROUPE_TEST_PROVIDERS'];
  if (summary !== undefined) appendFileSync(summary, `packed charms on ${found.label}\n`);
  return found;
};

const realProgram = async (named: string): Promise<PebbleProgram | null> => {
  try {
    const run = promisify(execFile);
    const { stdout: version } = await run(named, ['version', '--client']);
    const { stdout: program } = await run('sh', ['-c', 'command -v "$1"', 'sh', named]);
    return {
      label: `Pebble ${version.trim()}`,
      command: (_, identities) => [program.trim(), 'run', '--create-dirs', '--hold', '--identities', identities],
      environment: (directory) => ({ PEBBLE: '/var/lib/pebble/default', PEBBLE_SOCKET: socketIn(directory) }),
      needs: [dirname(program.trim())],
    };
  } catch {
    return null;
  }
};

const checkout = join(import.meta.dirname, '../../..');
const small = fileURLToPath(new URL('small-pebble-process.ts', import.meta.url));
const smallProgram: PebbleProgram = {
  label: 'the small Pebble',
  command: (directory) => [process.execPath, small, directory],
  environment: () => ({}),
  needs: [checkout, dirname(process.execPath)],
};
