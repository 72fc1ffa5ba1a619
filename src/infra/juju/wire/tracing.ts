/** The requirer's side of the interface `tracing`: we ask for a way to send traces, and the provider tells where. */
import { z } from 'zod';
import type { Bag } from '../tools.ts';
import { jsonIn } from './json.ts';

/** OTLP over HTTP, the one way that we speak. */
const protocol = 'otlp_http';

/** For our application bag. */
export const tracingRequest: Bag = { receivers: JSON.stringify([protocol]) };

const receivers = z.array(z.unknown());
const ours = z.looseObject({
  protocol: z.looseObject({ name: z.literal(protocol) }),
  url: z.url({ protocol: /^https?$/, normalize: true }).max(2_048),
});

/** Where traces are taken; null: the provider does not tell. */
export const traceLocationIn = (applicationBag: Bag): string | null => {
  const found = (jsonIn(applicationBag['receivers'], receivers) ?? []).flatMap((one) => ours.safeParse(one).data ?? []);
  const [receiver] = found;
  return receiver === undefined ? null : new URL('v1/traces', receiver.url.replace(/\/*$/, '/')).href;
};
