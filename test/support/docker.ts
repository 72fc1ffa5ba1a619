import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface DockerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Also what it says on stderr. */
  readonly both?: boolean;
  /** For its stdin. */
  readonly input?: string;
}

/** What a person would type; resolves to stdout, rejects with the last words on stderr. */
export const docker = async (
  args: readonly string[],
  { env = {}, both = false, input = '' }: DockerOptions = {},
): Promise<string> => {
  const running = promisify(execFile)('docker', [...args], {
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  });
  running.child.stdin?.on('error', () => {}).end(input); // One that ends before it reads has its own words for it.
  try {
    const { stdout, stderr } = await running;
    return both ? stdout + stderr : stdout;
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    const words = said.split('\n').slice(-15).join('\n');
    throw new Error(`docker ${args.join(' ')}: ${words === '' ? String(cause) : words}`, { cause });
  }
};
