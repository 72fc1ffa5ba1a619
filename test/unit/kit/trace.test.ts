import { expect, it } from 'vitest';
import { createTrace, goldenTrace } from '../../../src/actors/kit/trace.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { WallMs } from '../../../src/actors/model/ids.ts';
import { toy } from './toy.ts';

const clock = { wall: () => Date.UTC(2026, 10, 24, 10) as WallMs };

it('keeps what was heard, told and done, with what identifies it', () => {
  const trace = createTrace(clock);
  trace.decided(
    'workload',
    { type: 'stepTaken', step: 'prove', outcome: { kind: 'refused', reason: 'line 3' } } as { type: string },
    {
      state: null,
      tell: [toy('unit', { type: 'waitsTold' })],
      effects: [{ type: 'take', step: { type: 'write' } } as never],
    },
  );
  trace.decided('unit', { type: 'ticked', wall: 5 } as { type: string }, { state: null });
  expect(trace.entries()).toEqual([
    {
      seq: 1,
      at: '2026-11-24T10:00:00.000Z',
      actor: 'workload',
      message: 'stepTaken step=prove outcome=refused',
      tells: ['unit:waitsTold'],
      effects: ['take step=write'],
    },
    { seq: 2, at: '2026-11-24T10:00:00.000Z', actor: 'unit', message: 'ticked', tells: [], effects: [] },
  ]);
  expect(goldenTrace(trace.entries())).toBe(
    'workload hears stepTaken step=prove outcome=refused, tells unit:waitsTold, does take step=write\nunit hears ticked\n',
  );
});

it('tells each entry as it is made to whoever wants to hear', () => {
  const heard: unknown[] = [];
  const trace = createTrace(clock, 1, (entry) => heard.push(entry));
  trace.decided('unit', { type: 'ticked' }, { state: null });
  expect(heard).toEqual(trace.entries());
  trace.threw('unit', { type: 'ticked' });
  expect(heard).toHaveLength(2);
  expect(heard.slice(1)).toEqual(trace.entries());
});

it('names the things a message is about, by kind, generation, epoch or id', () => {
  const summaries: [object, string][] = [
    [{ leadership: { epoch: 3, nonce: 'n', until: 17 } }, 'leadership=3'],
    [{ leadership: null }, 'leadership=none'],
    [{ published: { generation: 4, spec: {} }, verdict: {} }, 'published=4'],
    [{ hook: { type: 'relationBroken', id: 7 } }, 'hook=relationBroken'],
    [{ from: 'client', waits: [{ id: 'backend' }, { id: 'roster' }] }, 'from=client waits=[backend roster]'],
    [{ clients: [{ id: 1 }, { id: 2 }] }, 'clients=[1 2]'],
    [{ status: { word: 'blocked', message: 'x' } }, 'status=blocked'],
    [{ kept: false }, 'kept=false'],
    [{ facts: new Map([['main', { kind: 'ready' }]]) }, ''],
  ];
  for (const [fields, summary] of summaries) {
    const trace = createTrace(clock);
    trace.decided('unit', { type: 'x', ...fields }, { state: null });
    expect(trace.entries()[0]?.message).toBe(`x ${summary}`.trim());
  }
});

it('shows no secret, wherever it is, and no long or unlisted text', () => {
  const trace = createTrace(clock);
  const secret = new Secret('marker');
  const carrying = {
    type: 'minted',
    id: 1,
    name: secret,
    account: { username: 'u', password: secret },
    password: 'marker',
    reason: 'marker',
    outcome: { kind: secret, reason: 'marker' },
    unit: `marker${'.'.repeat(60)}`,
    clients: [{ id: secret }, { id: { id: 'marker' } }, 'marker'],
  };
  trace.decided('client', carrying, { state: carrying, tell: [toy('config', carrying)], effects: [carrying] });
  trace.threw('client', carrying);
  const text = JSON.stringify(trace.entries()) + goldenTrace(trace.entries());
  expect(text).not.toContain('marker');
  expect(trace.entries().map(({ message }) => message)).toEqual([
    'minted id=1 clients=[  ]',
    'minted id=1 clients=[  ] (defect)',
  ]);
});

it('forgets all but the last entries, and goes on counting', () => {
  const trace = createTrace(clock, 3);
  for (let index = 1; index <= 20; index += 1) {
    trace.decided('unit', { type: `m${index}` }, { state: null });
    const seqs = trace.entries().map(({ seq }) => seq);
    expect(seqs).toEqual([index - 2, index - 1, index].filter((seq) => seq > 0));
  }
  const endless = createTrace(clock, Number.POSITIVE_INFINITY);
  for (let index = 0; index < 1_000; index += 1) endless.threw('unit', { type: 'm' });
  expect(endless.entries()).toHaveLength(1_000);
});
