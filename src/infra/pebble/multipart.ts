/**
 * The two uses that Pebble's files API makes of multipart bodies: metadata and files to write, and files read with metadata at the
 * end. Names of files are absolute paths.
 */
import { randomBytes } from 'node:crypto';
import { noProtocol } from './trouble.ts';

export interface Part {
  readonly name: string;
  readonly filename: string | null;
  readonly content: Buffer;
}

/** Pebble refuses boundaries of fewer than 32 characters. */
export const encodeMultipart = (
  metadata: unknown,
  files: readonly { readonly path: string; readonly content: Buffer }[],
): { readonly contentType: string; readonly body: Buffer } => {
  const boundary = randomBytes(24).toString('hex');
  const chunks = [
    `--${boundary}\r\n${headersOf('request', null, 'application/json')}${JSON.stringify(metadata)}`,
    ...files.flatMap(({ path, content }) => [
      `\r\n--${boundary}\r\n${headersOf('files', path, 'application/octet-stream')}`,
      content,
    ]),
    `\r\n--${boundary}--\r\n`,
  ];
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat(chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))),
  };
};

/** Throws PebbleError (protocol) for what is cut off, or no such body. */
export const decodeMultipart = (contentType: string, body: Buffer): readonly Part[] => {
  const boundary = /^multipart\/form-data;.*\bboundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined)
    throw noProtocol(`it answers with ${contentType || 'no content type'} and not with files`);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const parts: Part[] = [];
  // The first delimiter has no line before it.
  let at = body.indexOf(delimiter.subarray(2)) + delimiter.length - 2;
  if (at < delimiter.length - 2) throw noProtocol('its answer holds no files');
  while (body.toString('latin1', at, at + 2) !== '--') {
    const head = body.indexOf('\r\n\r\n', at);
    const end = head === -1 ? -1 : body.indexOf(delimiter, head);
    if (end === -1) throw noProtocol('its answer is cut off');
    const disposition = /^content-disposition: *form-data;(.*)$/im.exec(body.toString('utf8', at, head))?.[1] ?? '';
    parts.push({
      name: parameterIn(disposition, 'name') ?? '',
      filename: parameterIn(disposition, 'filename'),
      content: body.subarray(head + 4, end),
    });
    at = end + delimiter.length;
  }
  return parts;
};

const headersOf = (name: string, filename: string | null, type: string): string => {
  const file = filename === null ? '' : `; filename="${escaped(filename)}"`;
  return `Content-Disposition: form-data; name="${name}"${file}\r\nContent-Type: ${type}\r\n\r\n`;
};

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');

const parameterIn = (disposition: string, key: string): string | null =>
  new RegExp(`; *${key}="((?:[^"\\\\]|\\\\.)*)"`).exec(`;${disposition}`)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? null;
