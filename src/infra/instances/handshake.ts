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

/** As PostgreSQL's protocol has it: its length, and the number 80877103. */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
