import { connect } from 'node:net';
import { createServer } from 'node:tls';

/** Speaks TLS as `localhost` before a store that does not; for the time of a test. */
export interface TlsFront extends AsyncDisposable {
  readonly port: number;
}

export const openTlsFront = async (to: { readonly host: string; readonly port: number }): Promise<TlsFront> => {
  const server = createServer({ key, cert: certificate }, (client) => {
    const upstream = connect(to.port, to.host);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    client.once('close', () => upstream.destroy());
    client.pipe(upstream).pipe(client);
  });
  server.on('tlsClientError', () => {}); // A client that does not trust us says so itself.
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the front listens nowhere');
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
};

/** Made for these tests and good for nothing else: self-signed, for `localhost`, valid until 2125. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBpTCCAUugAwIBAgIUOMA7duGB3u45sHzwafANXr1az1IwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRdHJvdXBlIHRlc3Qgc3RvcmUwIBcNMjYxMTI0MTEzMzExWhgP
MjEyNjEwMzExMTMzMTFaMBwxGjAYBgNVBAMMEXRyb3VwZSB0ZXN0IHN0b3JlMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEB036GmD5U0oFh5JVYDB4WSkrxpu79djy
DVGSN5ZNvc7vzBw/t4qBcb9CfaGhSLtLxxUE6pzTGfyiknFoo8xLHKNpMGcwHQYD
VR0OBBYEFBiAbk4gqexdVdha/7vPMQntlJbmMB8GA1UdIwQYMBaAFBiAbk4gqexd
Vdha/7vPMQntlJbmMA8GA1UdEwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxo
b3N0MAoGCCqGSM49BAMCA0gAMEUCIQCHeDpazF3//6Sqf6rn2s77yue4yVFZ2Au1
wW/uWFTYTAIgPW5/q6N8EvvRMTD0OnDwsWt9ANl8DtVG5BgiHKrKctE=
-----END CERTIFICATE-----
`;
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDK5il73n7nnBWQYs
VUpsbxlIYbjNPzatLpwxKvTozTWhRANCAAQHTfoaYPlTSgWHklVgMHhZKSvGm7v1
2PINUZI3lk29zu/MHD+3ioFxv0J9oaFIu0vHFQTqnNMZ/KKScWijzEsc
-----END PRIVATE KEY-----
`;
