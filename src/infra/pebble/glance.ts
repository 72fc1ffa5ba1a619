/**
 * The container of the workload as it is found, without a word on what that means: everything in it that `inspect` goes by, as one
 * digest. The same digest means the same files, the same services since the same time, and the same listeners, which are held by
 * the very same processes: a socket that is opened anew is another one to the kernel.
 */
import { hash } from 'node:crypto';
import { posix } from 'node:path';
import { allListeners, type Listener } from '../instances/listeners.ts';
import { decodeMultipart } from './multipart.ts';
import { instancePlace, placesIn } from './places.ts';
import { connectPlainly, type PlainAnswer, type PlainQuestion } from './plain-http.ts';

export interface Glance {
  /** What an earlier dispatch left there for later ones; null: nothing. */
  readonly note: string | null;
  /** Takes a second look, by what the first one found. Rejects with an Error. */
  whole(): Promise<{ readonly digest: string; readonly consoles: readonly Address[] }>;
  close(): void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface GlancedAt {
  /** Of Pebble. */
  readonly socket: string;
  readonly stateDir: string;
  readonly instances: number;
  /** Network of the loopback in which instances have their consoles: `127.0.1`. */
  readonly consoleNetwork: string;
}

/** Rejects with an Error when Pebble does not answer as it should, at the latest after `withinMs` for all of it. */
export const glanceAt = async (place: GlancedAt, withinMs: number): Promise<Glance> => {
  const places = placesIn(place.stateDir);
  const instances = Array.from({ length: place.instances }, (_, index) => instancePlace(places, index + 1));
  const connection = connectPlainly(place.socket, withinMs);
  try {
    const asked = [
      readingOf([places.settled]),
      readingOf([places.program]),
      readingOf([
        ...[places.authFile, places.rules, places.logins, places.passwords, places.verified],
        ...instances.flatMap(({ ini, paused }) => [ini, paused]),
      ]),
      { path: '/v1/services' },
      listingOf(places.tls),
      ...instances.map(({ socketDir }) => listingOf(socketDir)),
    ];
    const [settled, program, ...others] = await connection.ask(asked);
    const [, , tls] = others;
    return {
      note: textIn(settled, places.settled),
      whole: async () => {
        const directories = namesIn(tls).map((name) => posix.join(places.tls, name));
        const [found, listeners] = await Promise.all([
          connection.ask([
            ...programIn(textIn(program, places.program)).map(listingOf),
            ...directories.map((directory) =>
              readingOf(['key.pem', 'certificate.pem', 'authorities.pem'].map((name) => posix.join(directory, name))),
            ),
          ]),
          allListeners(),
        ]);
        const hosts = new Set(instances.map(({ id }) => `${place.consoleNetwork}.${id}`));
        const consoles = listeners.filter(({ address }) => hosts.has(address));
        const ports = new Set(consoles.map(({ port }) => port));
        const beside = listeners.filter(({ port }) => ports.has(port)).map(textOfListener);
        const seen = [[program, ...others, ...found].map(contentOf), beside.toSorted()];
        return {
          digest: hash('sha256', JSON.stringify(seen)),
          consoles: consoles.map(({ address: host, port }) => ({ host, port })),
        };
      },
      close: () => connection.close(),
    };
  } catch (cause) {
    connection.close();
    throw cause;
  }
};

const readingOf = (paths: readonly string[]): PlainQuestion => ({
  path: `/v1/files?action=read&${paths.map((path) => `path=${encodeURIComponent(path)}`).join('&')}`,
  accept: 'multipart/form-data',
});

const listingOf = (path: string): PlainQuestion => ({
  path: `/v1/files?action=list&path=${encodeURIComponent(path)}`,
});

const filesIn = (answer: PlainAnswer | undefined) =>
  answer?.status === 200 && answer.type.startsWith('multipart/')
    ? decodeMultipart(answer.type, answer.body).filter(({ filename }) => filename !== null)
    : [];

const textIn = (answer: PlainAnswer | undefined, path: string): string | null =>
  filesIn(answer)
    .find(({ filename }) => filename === path)
    ?.content.toString('utf8') ?? null;

/** Where the program lies that said its version last. */
const programIn = (note: string | null): readonly string[] => {
  const path: unknown = note === null ? undefined : JSON.parse(note).path;
  return typeof path === 'string' ? [path] : [];
};

const namesIn = (answer: PlainAnswer | undefined): readonly string[] => {
  const result = answer === undefined || answer.status !== 200 ? [] : resultIn(answer);
  return Array.isArray(result) ? result.map(({ name }: { readonly name: unknown }) => String(name)) : [];
};

/** Without what is another one each time: the text that divides files from each other, and the order in which they were read. */
const contentOf = (answer: PlainAnswer | undefined): unknown => {
  if (answer === undefined) return null;
  if (answer.type.startsWith('multipart/'))
    return decodeMultipart(answer.type, answer.body)
      .map(({ filename, content }) => [
        filename ?? '',
        filename === null ? resultIn({ ...answer, body: content }) : content.toString('latin1'),
      ])
      .toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1));
  return [answer.status, resultIn(answer)];
};

const resultIn = ({ body }: PlainAnswer): unknown => {
  const { result, maintenance } = JSON.parse(body.toString('utf8'));
  if (maintenance !== undefined) throw new Error('Pebble is about to restart');
  return result;
};

const textOfListener = ({ address, port, uid, inode }: Listener): string => `${address} ${port} ${uid} ${inode}`;
