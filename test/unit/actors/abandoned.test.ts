import { describe, expect, it } from 'vitest';
import { abandonedBy } from '../../../src/actors/config/abandoned.ts';
import type { BackendFacts } from '../../../src/actors/model/backend.ts';
import type { DatabaseSpec } from '../../../src/actors/model/fleet-spec.ts';

const [old, next, third] = ['db1', 'db2', 'db3'].map((host) => ({ host, port: 5432 })) as [Server, Server, Server];
type Server = Pick<DatabaseSpec, 'host' | 'port'>;

const ready: Extract<BackendFacts, { kind: 'ready' }> = {
  kind: 'ready',
  primary: next,
  standbys: [],
  silent: [old],
  version: 170_011,
  systemId: '7',
  timeline: 2,
  maxConnections: 100,
  clientConnections: 97,
  ailments: [],
};
const seen = (changes: Partial<typeof ready> = {}) => new Map([['main', { ...ready, ...changes }]]);
const on = (server: Server): readonly DatabaseSpec[] => [
  { name: 'orders', database: 'orders', backend: 'main', ...server, maxConnections: 0, readOnly: false },
];
const abandoned = { backend: 'main', ...old };

describe('a server that clients are led away from', () => {
  it('is abandoned when it was looked at and did not answer', () => {
    expect(abandonedBy(on(next), seen(), { databases: on(old), abandoned: [] })).toEqual([abandoned]);
  });

  it('is not abandoned when it is a standby by now, or is no longer looked at', () => {
    const before = { databases: on(old), abandoned: [] };
    expect(abandonedBy(on(next), seen({ silent: [], standbys: [old] }), before)).toEqual([]);
    expect(abandonedBy(on(next), seen({ silent: [] }), before)).toEqual([]);
  });

  it('stays abandoned when it comes back, until the next move', () => {
    const before = { databases: on(next), abandoned: [abandoned] };
    expect(abandonedBy(on(next), seen({ silent: [], standbys: [old] }), before)).toEqual([abandoned]);
    expect(abandonedBy(on(third), seen({ primary: third, silent: [] }), before)).toEqual([]);
  });

  it('is forgotten with the last database of its backend, and unknown before the first generation', () => {
    expect(abandonedBy([], seen(), { databases: on(next), abandoned: [abandoned] })).toEqual([]);
    expect(abandonedBy(on(next), seen(), null)).toEqual([]);
  });
});
