import { expect, it } from 'vitest';
import { loadUnitSettings } from '../../src/settings.ts';

const load = (environment: Readonly<Record<string, string>>) =>
  loadUnitSettings(environment, {}, { stateDir: '/s', runDir: '/r', cpus: 4 });
const all = { TROUPE_TLS_CERTIFICATE_FILE: '/c.pem', TROUPE_TLS_KEY_FILE: '/k.pem', TROUPE_TLS_CA_FILE: '/ca.pem' };

it('a unit serves without TLS unless it is given a certificate, its key and its authority', () => {
  expect(load({})).toMatchObject({ settings: { tls: null } });
  expect(load(all)).toMatchObject({
    settings: { tls: { certificate: '/c.pem', key: '/k.pem', authorities: '/ca.pem' } },
  });
});

it.each(Object.keys(all))('%s is missed beside the others, and alone', (name) => {
  const others = Object.fromEntries(Object.entries(all).filter(([other]) => other !== name));
  for (const some of [others, { [name]: '/x' }])
    expect(load(some)).toMatchObject({
      kind: 'invalid',
      problems: [
        'TROUPE_TLS_CERTIFICATE_FILE, TROUPE_TLS_KEY_FILE and TROUPE_TLS_CA_FILE belong together: give all three, or none',
      ],
    });
});
