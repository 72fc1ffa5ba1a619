/** Traces as OpenTelemetry has them (OTLP), in JSON over HTTP. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';

export interface Span {
  readonly name: string;
  /** Wall-clock ms, fractions too. */
  readonly from: number;
  readonly until: number;
  /** Null: it went well. */
  readonly failure: string | null;
}

export interface Trace {
  /** What all of it is of. */
  readonly resource: Readonly<Record<string, string>>;
  /** What made it. */
  readonly scope: { readonly name: string; readonly version: string };
  readonly whole: Span;
  readonly attributes: Readonly<Record<string, string>>;
  /** Within the whole. */
  readonly parts: readonly Span[];
}

/** Rejects with an Error whose message is a clause. Takes no longer than `withinMs`. */
export const sendTrace = async (location: string, trace: Trace, withinMs: number): Promise<void> => {
  const content = Buffer.from(JSON.stringify(bodyOf(trace)));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const ask = location.startsWith('https:') ? (await import('node:https')).request : request;
  const sent = ask(location, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': content.length },
    signal: AbortSignal.timeout(withinMs),
  });
  sent.once('error', reject);
  sent.once('response', (response) => {
    // What it says is of no interest, and may have no end.
    response.destroy();
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) resolve();
    else reject(new Error(`it answers ${statusCode}`));
  });
  sent.end(content);
  await promise;
};

const bodyOf = ({ resource, scope, whole, attributes, parts }: Trace) => {
  const traceId = randomBytes(16).toString('hex');
  const parentSpanId = spanId();
  const span = (one: Span, id: Readonly<Record<string, string>>, about: Trace['attributes']) => ({
    traceId,
    ...id,
    name: one.name,
    kind: internal,
    startTimeUnixNano: nanoseconds(one.from),
    endTimeUnixNano: nanoseconds(one.until),
    attributes: attributesOf(about),
    status: one.failure === null ? {} : { code: failed, message: one.failure },
  });
  const spans = [
    span(whole, { spanId: parentSpanId }, attributes),
    ...parts.map((one) => span(one, { spanId: spanId(), parentSpanId }, {})),
  ];
  return { resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans: [{ scope, spans }] }] };
};

const [internal, failed] = [1, 2];
const spanId = (): string => randomBytes(8).toString('hex');
/** More digits than a number has. */
const nanoseconds = (ms: number): string => `${Math.round(ms * 1_000)}000`;

const attributesOf = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([key, value]) => ({ key, value: { stringValue: value } }));
