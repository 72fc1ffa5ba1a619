import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { testAccount } from './servers.ts';

export interface Stranger extends AsyncDisposable {
  end(): Promise<void>;
}

/** Another program at an address, of the same account and willing to share it: what `so_reuseport` hides. */
export const strangerAt = async (host: string, port: number): Promise<Stranger> => {
  const { uid, gid } = spawnIds(testAccount());
  // It becomes the account by itself: the account may not be able to read the checkout, where this Node lies.
  const become = uid === undefined ? '' : `process.setgroups([${gid}]);process.setgid(${gid});process.setuid(${uid});`;
  const code = `${become}require('node:net').createServer((c)=>c.destroy()).listen({host:'${host}',port:${port},reusePort:true},()=>process.stdout.write('.'))`;
  const child = spawn(process.execPath, ['-e', code], { cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const end = async (): Promise<void> => {
    if (child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return { end, [Symbol.asyncDispose]: end };
};
