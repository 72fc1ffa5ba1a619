import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

/** HTTP status with which a Pebble answers the probe of Kubernetes: 200, or 502 while a check of that level is down. */
export const healthOf = async (socketPath: string, level: 'alive' | 'ready'): Promise<number> => {
  const asked = request({ socketPath, path: `/v1/health?level=${level}` }).end();
  const [answer]: IncomingMessage[] = await once(asked, 'response');
  answer?.resume();
  return answer?.statusCode ?? 0;
};
