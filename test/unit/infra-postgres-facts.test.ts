import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { factsOf, type Identity, type ServerState, type Sighting } from '../../src/infra/postgres/facts.ts';

type Changes = Partial<Identity & ServerState>;
const seen = (host: string, changes: Changes = {}): Sighting => ({
  endpoint: `${host}:5432`,
  kind: 'seen',
  server: { host, port: 5432 },
  identity: {
    systemId: '77',
    startedAt: `start of ${host}`,
    version: 170_011,
    maxConnections: 100,
    clientConnections: 97,
    ...changes,
  },
  state: {
    inRecovery: false,
    timeline: 3,
    isSuperuser: false,
    canCreateRole: true,
    canCreateDatabase: true,
    inherits: true,
    isReadOnly: false,
    isFull: false,
    ...changes,
  },
});
const standby = (host: string, changes: Changes = {}): Sighting =>
  seen(host, { inRecovery: true, timeline: null, ...changes });
const away = (host: string): Sighting => ({ endpoint: `${host}:5432`, kind: 'away', reason: 'no answer in time' });
const refused = (host: string): Sighting => ({ endpoint: `${host}:5432`, kind: 'refused', reason: 'wrong password' });
const reasonOf = (sightings: readonly Sighting[]): string => {
  const facts = factsOf('admin', sightings);
  return facts.kind === 'ready' ? 'ready' : `${facts.kind}: ${facts.reason}`;
};

describe('facts of a backend', () => {
  it('are those of its one primary, whoever else answers or does not', () => {
    expect(factsOf('admin', [away('a'), standby('b'), seen('c'), refused('d')])).toEqual({
      kind: 'ready',
      primary: { host: 'c', port: 5432 },
      standbys: [{ host: 'b', port: 5432 }],
      version: 170_011,
      systemId: '77',
      timeline: 3,
      maxConnections: 100,
      silent: [{ host: 'a', port: 5432 }],
      clientConnections: 97,
      ailments: [],
    });
  });

  it('do not choose between two primaries, but know one server under two names', () => {
    expect(reasonOf([seen('a'), seen('b')])).toContain('blocked: it has more than one primary (a:5432, b:5432)');
    const twice = { startedAt: 'at once' };
    expect(factsOf('admin', [seen('a', twice), seen('b', twice)])).toMatchObject({
      primary: { host: 'a' },
      standbys: [],
    });
    expect(reasonOf([seen('a', { ...twice, systemId: '77' }), seen('b', { ...twice, systemId: '78' })])).toContain(
      'different PostgreSQL clusters',
    );
  });

  it('name servers of different clusters, also when only one of them is a primary', () => {
    expect(reasonOf([seen('a'), standby('b', { systemId: '78' })])).toContain('(a:5432 is 77, b:5432 is 78)');
    expect(reasonOf([seen('a'), standby('b', { systemId: null })])).toBe('ready');
  });

  it('wait where an answer may come, and ask a person where none will', () => {
    expect(reasonOf([away('a'), standby('b')])).toBe(
      'away: no primary within reach: a:5432: no answer in time; b:5432: in recovery, a standby',
    );
    expect(reasonOf([away('a'), refused('b')])).toContain('blocked: cannot look at its servers: ');
    expect(reasonOf([])).toBe('away: no primary within reach: it has no endpoints');
  });

  it('name the right that is missing and the statement that gives it', () => {
    const statement = (changes: Changes) => reasonOf([seen('a', changes)]).split('as a superuser run ')[1];
    expect(statement({ canCreateRole: false })).toBe('ALTER ROLE "admin" CREATEROLE');
    expect(statement({ canCreateRole: false, canCreateDatabase: false })).toBe(
      'ALTER ROLE "admin" CREATEROLE CREATEDB',
    );
    expect(statement({ inherits: false, version: 150_008 })).toBe('ALTER ROLE "admin" INHERIT');
    expect(reasonOf([seen('a', { inherits: false })])).toBe('ready');
    const nothing = { canCreateRole: false, canCreateDatabase: false, inherits: false };
    expect(reasonOf([seen('a', { ...nothing, isSuperuser: true, version: 150_008 })])).toBe('ready');
    expect(reasonOf([seen('a', { version: 130_014 })])).toContain('PostgreSQL 13 is too old');
  });

  it('are ready only with exactly one primary, whatever was seen in whatever order', () => {
    const host = fc.constantFrom('a', 'b', 'c');
    const sighting = fc.oneof(
      host.map((name) => seen(name)),
      host.map((name) => standby(name)),
      host.map(away),
      host.map(refused),
    );
    fc.assert(
      fc.property(fc.uniqueArray(sighting, { selector: ({ endpoint }) => endpoint, maxLength: 3 }), (sightings) => {
        const primaries = sightings.filter((one) => one.kind === 'seen' && !one.state.inRecovery);
        const facts = factsOf('admin', sightings);
        expect(facts.kind === 'ready').toBe(primaries.length === 1);
        if (facts.kind === 'ready') expect(`${facts.primary.host}:5432`).toBe(primaries[0]?.endpoint);
        expect(factsOf('admin', sightings.toReversed()).kind).toBe(facts.kind);
      }),
    );
  });
});
