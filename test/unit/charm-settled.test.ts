import { describe, expect, it } from 'vitest';
import { keyQuestion } from '../../src/infra/juju/fleet-key.ts';
import { type Answers, answersTo, digestOf } from '../../src/infra/juju/tool-answers.ts';
import type { RunTool } from '../../src/infra/juju/tool-process.ts';
import { type Before, type FrontParts, lookBefore } from '../../src/programs/charm-front.ts';
import { isAsBefore, longestMs, type Seen, type Settled, settledIn } from '../../src/programs/charm-settled.ts';
import { signed, textSigned } from '../../src/programs/charm-signed.ts';
import { createSettling, type Settling } from '../../src/programs/charm-settling.ts';

const said = new Map([
  ['state-get', '{}'],
  ['is-leader', 'true'],
  ['secret-get', '{"seal-key":"the key of the fleet"}'],
]);
const run: RunTool = async ({ tool }) => said.get(tool) ?? '';
const questions = [keyQuestion, ...['state-get', 'is-leader'].map((tool) => ({ tool, args: ['--format=json'] }))];
const heard = await answersTo(questions, run);
const answers = digestOf(heard);
const noteOf = (what: Settled, under: Answers = heard): string => signed(JSON.stringify(what), under) ?? '';
const settled: Settled = {
  at: 1_000,
  until: 500_000,
  facts: 'facts',
  container: 'container',
  questions,
  answers,
  servers: [{ host: 'db', port: 5432 }],
};
const seen: Seen = { now: 2_000, facts: 'facts', container: 'container', answers, allAnswer: true };

describe('what was settled', () => {
  it('is settled while everything is as it was', () => {
    expect(isAsBefore(settled, seen)).toBe(true);
  });

  it.each<[string, Partial<Seen>]>([
    ['its time is over', { now: 500_000 }],
    ['the clock was set back', { now: 999 }],
    ['the process is told otherwise', { facts: 'another version' }],
    ['the container is another', { container: 'another' }],
    ['the container cannot be seen', { container: null }],
    ['Juju answers otherwise', { answers: 'other' }],
    ['somebody does not answer', { allAnswer: false }],
  ])('is not when %s', (_, change) => {
    expect(isAsBefore(settled, { ...seen, ...change })).toBe(false);
  });

  it('is so for ten minutes at the longest, whatever the note says', () => {
    const far = { ...settled, until: Number.MAX_SAFE_INTEGER };
    expect(isAsBefore(far, { ...seen, now: 1_000 + longestMs - 1 })).toBe(true);
    expect(isAsBefore(far, { ...seen, now: 1_000 + longestMs })).toBe(false);
  });

  it('is read as it was written, and nothing else is taken for it', () => {
    expect(settledIn(JSON.stringify(settled))).toEqual(settled);
    expect(settledIn(null)).toBeNull();
    for (const text of ['', 'null', '[]', '{', JSON.stringify({ ...settled, questions: [{ tool: 'x' }] })])
      expect([text, settledIn(text)]).toEqual([text, null]);
    for (const key of Object.keys(settled)) {
      const { [key as keyof Settled]: _, ...rest } = settled;
      expect([key, settledIn(JSON.stringify(rest))]).toEqual([key, null]);
    }
  });
});

describe('the first look', () => {
  const consoles = [{ host: '127.0.1.1', port: 6432 }];
  const glance =
    (note: string | null, digest = 'container'): FrontParts['glance'] =>
    async () => ({ note, whole: async () => ({ digest, consoles }), close: () => {} });
  const parts: FrontParts = {
    facts: 'facts',
    glance: glance(noteOf(settled)),
    run,
    answers: async () => true,
    now: () => 2_000,
  };

  it('finds nothing to do where everything is as it was, and asks what was asked then', async () => {
    const asked: string[] = [];
    const shaken: string[] = [];
    const before = await lookBefore({
      ...parts,
      run: async (call) => {
        asked.push([call.tool, ...call.args].join(' '));
        return run(call);
      },
      answers: async ({ host }) => shaken.push(host) > 0,
    });
    expect(before.isSettled).toBe(true);
    expect(asked).toEqual([
      'secret-get --format=json --label troupe --refresh',
      'state-get --format=json',
      'is-leader --format=json',
    ]);
    expect(shaken.toSorted()).toEqual(['127.0.1.1', 'db']);
  });

  it('asks nothing that a note says which was not signed with the key of the fleet', async () => {
    const forged = { ...settled, questions: [{ tool: 'reboot', args: [] }] };
    const otherKey = new Map([...heard].map(([question, answer]) => [question, answer.replace('fleet', 'other')]));
    for (const note of [JSON.stringify(forged), `\n${JSON.stringify(forged)}`, noteOf(forged, otherKey)]) {
      const asked: string[] = [];
      const noting: RunTool = async (call) => {
        asked.push(call.tool);
        return run(call);
      };
      expect((await lookBefore({ ...parts, glance: glance(note), run: noting })).isSettled).toBe(false);
      expect(asked.filter((tool) => tool !== 'secret-get')).toEqual([]);
    }
  });

  it.each<[string, Partial<FrontParts>]>([
    ['there is no note', { glance: glance(null) }],
    ['the note cannot be read', { glance: glance('{') }],
    ['Pebble is away', { glance: () => Promise.reject(new Error('away')) }],
    [
      'the container cannot be seen to its end',
      {
        glance: async () => ({
          note: noteOf(settled),
          whole: () => Promise.reject(new Error('cut')),
          close: () => {},
        }),
      },
    ],
    ['a file is another', { glance: glance(noteOf(settled), 'another') }],
    ['the process is told otherwise', { facts: 'other' }],
    ['its time is over', { now: () => 600_000 }],
    ['an option is another', { run: async (call) => (call.tool === 'state-get' ? '{"a":"b"}' : run(call)) }],
    [
      'a tool is refused',
      { run: async (call) => (call.tool === 'is-leader' ? Promise.reject(new Error('no')) : run(call)) },
    ],
    ['PostgreSQL does not answer', { answers: async ({ host }) => host !== 'db' }],
    ['a PgBouncer does not answer', { answers: async ({ host }) => host === 'db' }],
  ])('leaves it to the whole dispatch when %s', async (_, change) => {
    expect((await lookBefore({ ...parts, ...change })).isSettled).toBe(false);
  });
});

describe('a whole dispatch', () => {
  const state = { tool: 'state-get', args: ['--format=json'] };
  const before: Before = { isSettled: false, at: 1_000, facts: 'facts', container: 'container', answers: new Map() };
  const noteAfter = async (does: (settling: Settling) => unknown, first: Before | null = before, tools = run) => {
    const written: string[] = [];
    let removed = 0;
    const note = {
      write: async (text: string) => void written.push(text),
      remove: async () => void (removed += 1),
    };
    const settling = createSettling(tools, note, first);
    settling.begin();
    expect(removed).toBe(1);
    await settling.run(keyQuestion);
    await settling.run(state);
    settling.settle(Number.POSITIVE_INFINITY, settled.servers);
    await does(settling);
    await settling.end();
    return settledIn(textSigned(written[0] ?? '', heard));
  };

  it('that had nothing to do leaves a note by which the next one knows', async () => {
    const kept = await noteAfter(async ({ run: ask }) => ask({ tool: 'is-leader', args: ['--format=json'] }));
    expect(kept).toEqual({ ...settled, until: 1_000 + longestMs });
  });

  it('takes over what was asked before, each answer once', async () => {
    const asked: string[] = [];
    const counting: RunTool = async (call) => {
      asked.push(call.tool);
      return run(call);
    };
    const ahead = await answersTo(questions, run);
    await noteAfter(
      async ({ run: ask }) => {
        expect(asked).toEqual([]);
        await ask({ tool: 'is-leader', args: ['--format=json'] });
        await ask({ tool: 'is-leader', args: ['--format=json'] });
      },
      { ...before, answers: ahead },
      counting,
    );
    expect(asked).toEqual(['is-leader']); // The second time.
  });

  const decided = (effect: object) => (settling: Settling) =>
    settling.trace.decided('x', { type: 'x' }, { state: null, effects: [{ type: 'x', ...effect }] });

  it.each<[string, (settling: Settling) => unknown]>([
    ['wrote into a bag', ({ run: ask }) => ask({ tool: 'relation-set', args: ['-r', 'a:1'], input: 'a: b' })],
    ['set a status', ({ run: ask }) => ask({ tool: 'status-set', args: ['active'] })],
    ['had something to say', ({ run: ask }) => ask({ tool: 'juju-log', args: ['x'] })],
    ['reloads', decided({ type: 'take', step: { type: 'reload' } })],
    ['makes a login', decided({ type: 'postgres', step: { type: 'ensureLogin' } })],
    ['mints a password', decided({ type: 'mint' })],
    ['has a defect', ({ trace }) => trace.threw('x', { type: 'x' })],
    ['could not tell the container something', (settling) => settling.unsettle()],
  ])('that %s leaves none', async (_, does) => {
    expect(await noteAfter(does)).toBeNull();
  });

  it('leaves none when it is refused something, or Juju says something else the second time', async () => {
    const refusing: RunTool = (call) => (call.tool === 'is-leader' ? Promise.reject(new Error('no')) : run(call));
    const ask = (settling: Settling) => settling.run({ tool: 'is-leader', args: [] }).catch(() => null);
    expect(await noteAfter(ask, before, refusing)).toBeNull();
    let times = 0;
    const wavering: RunTool = async () => String((times += 1));
    expect(await noteAfter(({ run: again }) => again(state), before, wavering)).toBeNull();
  });

  it('leaves none when it was about something, or could not see the container', async () => {
    expect(await noteAfter(() => {}, { ...before, container: null })).toBeNull();
    expect(await noteAfter(() => {}, null)).toBeNull();
  });

  it('that still waits for something leaves none', async () => {
    const written: string[] = [];
    const note = { write: async (text: string) => void written.push(text), remove: async () => {} };
    const settling = createSettling(run, note, before);
    settling.begin();
    await settling.run(state);
    await settling.end();
    expect(written).toEqual([]);
  });
});
