/** What clients on libraries of others were told, as what they log in with. */
import type { Told } from '../juju/counterparts.ts';

/** What a client needs to log in. */
export interface Login {
  readonly host: string;
  readonly port: string;
  readonly username: string;
  readonly password: string;
  readonly database: string;
  /** Of who must have signed the certificate that the server shows for its name; nothing is checked, or encrypted, without. */
  readonly authority?: string;
}

/** One for each of its requests, as it was told last. */
export const loginsIn = (told: readonly Told[]): readonly Login[] => {
  const byRequest = new Map<string, Login>();
  for (const one of told) {
    const login = 'master' in one ? legacyLogin(one) : loginOf(one);
    if (login !== null) byRequest.set(login.database, login);
  }
  return [...byRequest.values()];
};

const loginOf = (told: Told): Login | null => {
  const { endpoints, username, password, tls, tls_ca: authority } = told;
  const database = told['resource'] ?? told['database'];
  if (typeof username !== 'string' || typeof password !== 'string' || typeof endpoints !== 'string') return null;
  const [host = '', port = ''] = endpoints.split(':');
  const isServed = tls === true || tls === 'True';
  return {
    host,
    port,
    username,
    password,
    database: String(database),
    ...(isServed ? { authority: String(authority) } : {}),
  };
};

const legacyLogin = ({ master }: Told): Login | null => {
  if (typeof master !== 'string') return null;
  const { hostname: host, port, username, password, pathname } = new URL(master);
  return { host, port, username, password: decodeURIComponent(password), database: pathname.slice(1) };
};
