import { randomUUID } from 'node:crypto';
import { type ErrorBody, type ErrorCode, errorCatalogue } from '../../api/errors.ts';
import type { Log } from '../files/log.ts';
import { codeOf } from '../files/system-error.ts';

/** A request that is not served, for a reason of the catalogue. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    code: ErrorCode,
    message: string,
    more: Partial<Omit<ErrorBody['error'], 'code' | 'message'>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.body = { error: { code, message, ...more } };
    this.headers = headers;
  }
  get status(): number {
    return errorCatalogue[this.body.error.code].status;
  }
}

/** What to answer when a request was ended by `cause`. A defect is logged under a number, and told by that number only. */
export const refusalOf = (cause: unknown, log: Log, route: string): Refusal => {
  if (cause instanceof Refusal) return cause;
  const foreign = refusalByCode[String(codeOf(cause))];
  if (foreign !== undefined) return new Refusal(...foreign);
  const incident = randomUUID().slice(0, 8);
  log.error({ incident, route, err: cause }, 'request failed');
  return new Refusal(
    'internal',
    `this is a defect of Troupe: look for incident ${incident} in the log of this unit and report it`,
  );
};

export const bodyLimit = 256 * 1024;
const tooLarge = ['too-large', `the body is larger than ${bodyLimit} bytes`] as const;

/** By the codes of fastify and of Node's HTTP parser. */
const refusalByCode: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: tooLarge,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported-media-type',
    'the body must be JSON: send it as Content-Type application/json',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed-request', 'the body has another length than Content-Length says'],
  FST_ERR_BAD_URL: ['malformed-request', 'the path is not a valid URL: % must be followed by two hexadecimal digits'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found', 'there is nothing at this path: its last part is too long'],
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'the headers are larger than 16 KiB'],
  ERR_HTTP_REQUEST_TIMEOUT: ['too-slow', 'the request did not arrive in time'],
};

/** For what never became a request. */
export const parserRefusalOf = (cause: Error): Refusal => {
  const [code, message] = refusalByCode[String(codeOf(cause))] ?? [
    'malformed-request',
    'what arrived is not an HTTP request',
  ];
  return new Refusal(code, message);
};
