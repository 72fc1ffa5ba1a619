import { once } from 'node:events';
import { connect } from 'node:net';

/**
 * The SHA-256 fingerprint of the certificate that is shown there to whoever asks for TLS; null when nobody answers, or TLS is not
 * served. Nobody logs in.
 */
export const certificateAt = async (host: string, port: number, signal: AbortSignal): Promise<string | null> => {
  const { connect: connectTls } = await import('node:tls');
  const socket = connect({ host, port });
  const cut = (): void => void socket.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', cut, { once: true });
  if (signal.aborted) cut();
  try {
    await once(socket, 'connect');
    socket.write(sslRequest);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (answer.toString('latin1') !== 'S') return null;
    // Which certificate it is matters here, not who vouches for it.
    const secure = connectTls({ socket, rejectUnauthorized: false });
    await once(secure, 'secureConnect');
    const { fingerprint256 } = secure.getPeerCertificate();
    secure.end();
    return fingerprint256;
  } catch {
    return null;
  } finally {
    signal.removeEventListener('abort', cut);
    socket.destroy();
  }
};

/**
 * Whether a PgBouncer or a PostgreSQL takes connections there and answers the first question: of a process that is stopped or hangs,
 * or takes nobody any more, the kernel alone would. Nobody logs in; PostgreSQL notes it down only where it logs every connection.
 */
export const answersAt = (host: string, port: number, withinMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const told = (answers: boolean) => (): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve(answers);
    };
    const limit = setTimeout(told(false), withinMs);
    socket.once('connect', () => socket.write(sslRequest)).once('data', told(true));
    socket.once('error', told(false)).once('close', told(false));
  });

/** As PostgreSQL's protocol has it: its length, and the number 80877103. */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
