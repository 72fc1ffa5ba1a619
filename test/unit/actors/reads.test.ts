import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withReads } from '../../../src/actors/config/reads.ts';
import type { BackendFacts, BackendServer } from '../../../src/actors/model/backend.ts';
import type { DatabaseSpec } from '../../../src/actors/model/fleet-spec.ts';

const at = (host: string, port = 5432): BackendServer => ({ host, port });
const ready = (...standbys: readonly BackendServer[]): BackendFacts => ({
  kind: 'ready',
  primary: at('db1'),
  standbys,
  version: 170_000,
  systemId: '1',
  timeline: 1,
  silent: [],
  clientConnections: 97,
  maxConnections: 100,
  ailments: [],
});
const away: BackendFacts = { kind: 'away', reason: 'no answer in time' };
const orders: DatabaseSpec = {
  name: 'orders',
  database: 'orders',
  backend: 'main',
  host: 'db1',
  port: 5432,
  maxConnections: 100,
  readOnly: false,
};
const reads = { ...orders, name: 'orders_readonly', readOnly: true };
const choice = { facts: new Map([['main', ready()]]), current: [], fallsBack: false, least: 6 };
const seeing = (facts: BackendFacts) => ({ ...choice, facts: new Map([['main', facts]]) });

describe('reads', () => {
  it('lead to the standbys that are there, in one order, with a budget of their own', () => {
    expect(withReads([orders], seeing(ready(at('db3'), at('db2'))))).toEqual([orders, { ...reads, host: 'db2,db3' }]);
  });

  it('lead to most of them where their ports differ, because a list of hosts has one', () => {
    const standbys = [at('db2', 5433), at('db4', 5434), at('db3', 5434)];
    expect(withReads([orders], seeing(ready(...standbys)))[1]).toMatchObject({ host: 'db3,db4', port: 5434 });
    expect(withReads([orders], seeing(ready(at('db3', 5434), at('db2', 5433))))[1]).toMatchObject({ port: 5433 });
  });

  it('lead nowhere without a standby, and stay where they led while nobody knows', () => {
    expect(withReads([orders], choice)).toEqual([orders]);
    const current = [orders, { ...reads, host: 'db2' }];
    expect(withReads([orders], { ...seeing(away), current })).toEqual(current);
    expect(withReads([orders], { ...choice, facts: new Map() })).toEqual([orders]);
  });

  it('lead to the primary where the operator chose so, within the budget of the database', () => {
    const own = { ...orders, maxConnections: 75 };
    const theirs = { ...reads, maxConnections: 25 };
    expect(withReads([orders], { ...choice, fallsBack: true })).toEqual([own, theirs]);
    expect(withReads([orders], { ...seeing(ready(at('db2'))), fallsBack: true })).toEqual([
      own,
      { ...theirs, host: 'db2' },
    ]);
    const free = { ...orders, maxConnections: 0 };
    expect(withReads([free], { ...choice, fallsBack: true })).toEqual([free, { ...reads, maxConnections: 0 }]);
  });

  it('have no fallback where the budget has no room for one connection more of each instance', () => {
    const scarce = { ...orders, maxConnections: 11 };
    expect(withReads([scarce], { ...choice, fallsBack: true })).toEqual([scarce]);
  });

  it('have no name where that would be too long', () => {
    const long = { ...orders, name: 'x'.repeat(55), database: 'x'.repeat(55) };
    expect(withReads([long], seeing(ready(at('db2'))))).toEqual([long]);
  });

  it('never have more on the primary, together with what writes there, than the budget of the database', () => {
    fc.assert(
      fc.property(
        fc.nat(500),
        fc.integer({ min: 1, max: 40 }),
        fc.boolean(),
        fc.boolean(),
        (budget, least, fallsBack, isThere) => {
          const database = { ...orders, maxConnections: budget };
          const facts = new Map([['main', isThere ? ready(at('db2')) : ready()]]);
          const onPrimary = withReads([database], { ...choice, facts, fallsBack, least }).filter(
            ({ host }) => host === 'db1',
          );
          const total = onPrimary.reduce((sum, { maxConnections }) => sum + maxConnections, 0);
          expect(total).toBeLessThanOrEqual(budget);
          if (budget >= least)
            for (const { maxConnections } of onPrimary) expect(maxConnections).toBeGreaterThanOrEqual(least);
        },
      ),
    );
  });
});
