/**
 * As much of HTTP/1.1 as a few questions to Pebble take that need nothing else: all at once on one connection, without the library,
 * which takes longer to load than all of them to be answered. What is not understood is an error, never a guess.
 */
import { connect, type Socket } from 'node:net';

export interface PlainQuestion {
  readonly path: string;
  readonly accept?: string;
}
export interface PlainAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/** One connection, closed with `close`. Rejects with an Error when something is amiss, also after `withinMs` from its beginning. */
export interface PlainConnection {
  /** Answers in the order of the questions. One call at a time. */
  ask(questions: readonly PlainQuestion[]): Promise<readonly PlainAnswer[]>;
  close(): void;
}

/** No unit has more to show. */
const longest = 16 * 1024 * 1024;

export const connectPlainly = (path: string, withinMs: number): PlainConnection => {
  const socket = connect(path);
  const limit = setTimeout(() => socket.destroy(new Error(`no answer within ${withinMs} ms`)), withinMs);
  let failure: Error | null = null;
  let heard: () => void = () => {};
  let bytes: Buffer = Buffer.alloc(0);
  const ended = (cause: Error): void => {
    failure ??= cause;
    heard();
  };
  socket.on('error', ended).on('close', () => ended(new Error('the connection was cut')));
  socket.on('data', (part: Buffer) => {
    bytes = bytes.length === 0 ? part : Buffer.concat([bytes, part]);
    if (bytes.length > longest) socket.destroy(new Error(`the answer is longer than ${longest} bytes`));
    heard();
  });
  return {
    ask: async (questions) => {
      send(socket, questions);
      const answers: PlainAnswer[] = [];
      while (answers.length < questions.length) {
        const found = firstAnswerIn(bytes);
        if (found === null) {
          if (failure !== null) throw failure;
          await new Promise<void>((resolve) => {
            heard = resolve;
          });
        } else {
          answers.push(found.answer);
          bytes = found.rest;
        }
      }
      return answers;
    },
    close: () => {
      clearTimeout(limit);
      socket.destroy();
    },
  };
};

const send = (socket: Socket, questions: readonly PlainQuestion[]): void => {
  const lines = questions.map(
    ({ path, accept }) =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${accept === undefined ? '' : `Accept: ${accept}\r\n`}\r\n`,
  );
  socket.write(lines.join(''));
};

/** Null: more is to come. Throws for what is no such answer. */
export const firstAnswerIn = (bytes: Buffer): { readonly answer: PlainAnswer; readonly rest: Buffer } | null => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})\b/.exec(first)?.[1] ?? Number.NaN);
  if (Number.isNaN(status)) throw new Error('what answers does not speak HTTP/1.1');
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), valueIn(line)]));
  const from = end + 4;
  const found = bodyIn(bytes, from, headers);
  return found === null
    ? null
    : {
        answer: { status, type: headers.get('content-type') ?? '', body: found.body },
        rest: bytes.subarray(found.end),
      };
};

const valueIn = (line: string): string => line.slice(line.indexOf(':') + 1).trim();

interface Body {
  readonly body: Buffer;
  readonly end: number;
}

const bodyIn = (bytes: Buffer, from: number, headers: ReadonlyMap<string, string>): Body | null => {
  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return chunksIn(bytes, from);
  const length = /^\d+$/.exec(headers.get('content-length') ?? '')?.[0];
  if (length === undefined) throw new Error('an answer does not say how long it is');
  const end = from + Number(length);
  return bytes.length < end ? null : { body: bytes.subarray(from, end), end };
};

const chunksIn = (bytes: Buffer, from: number): Body | null => {
  const chunks: Buffer[] = [];
  let at = from;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return null;
    const size = /^[0-9a-f]+/i.exec(bytes.toString('latin1', at, line))?.[0];
    if (size === undefined) throw new Error('an answer in parts has one without a size');
    const [start, end] = [line + 2, line + 2 + Number.parseInt(size, 16)];
    if (bytes.length < end + 2) return null;
    if (bytes.toString('latin1', end, end + 2) !== '\r\n')
      throw new Error('an answer in parts has one of another size');
    at = end + 2;
    if (start === end) return { body: Buffer.concat(chunks), end: at };
    chunks.push(bytes.subarray(start, end));
  }
};
