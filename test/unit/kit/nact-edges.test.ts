import nact from 'nact';
import { afterEach, expect, it, vi } from 'vitest';
import { names, turns } from './toy.ts';

/** What the kit relies on in nact 7.6.2, and what it works around. A new version of nact has to pass, or the kit has to change. */
type Message = { readonly say: string };
const systems: ReturnType<typeof nact.start>[] = [];
const start = (): ReturnType<typeof nact.start> => {
  const system = nact.start();
  systems.push(system);
  return system;
};
afterEach(() => {
  for (const system of systems.splice(0)) nact.stop(system);
});

/** Writes down what it hears; throws at "throw". */
const diary = (system: ReturnType<typeof start>, name: string, heard: string[], crashes: unknown[] = []) =>
  nact.spawn(
    system,
    (count: number, { say }: Message): number => {
      if (say === 'throw') throw new Error(`thrown by ${name}`);
      heard.push(`${name} ${count} ${say}`);
      return count + 1;
    },
    name,
    {
      initialState: 0,
      onCrash: (message, cause, ctx) => {
        crashes.push([message, cause]);
        return ctx.stop;
      },
    },
  );

it('hands a message over in a later turn, never inside dispatch', async () => {
  const heard: string[] = [];
  const ref = diary(start(), 'a', heard);
  nact.dispatch(ref, { say: 'hello' });
  await Promise.resolve();
  expect(heard).toEqual([]);
  await turns(1);
  expect(heard).toEqual(['a 0 hello']);
});

it('keeps the order of messages to one receiver, whoever sent them, with the state of the one before', async () => {
  const heard: string[] = [];
  const system = start();
  const c = diary(system, 'c', heard);
  const forward = (name: string) =>
    nact.spawn(
      system,
      (_: null, message: Message): null => {
        nact.dispatch(c, { say: `${message.say} by ${name}` });
        return null;
      },
      name,
      { initialState: null },
    );
  const [a, b] = [forward('a'), forward('b')];
  for (const say of ['1', '2']) for (const ref of [a, b]) nact.dispatch(ref, { say });
  nact.dispatch(c, { say: 'direct' });
  await turns(6);
  expect(heard).toEqual(['c 0 direct', 'c 1 1 by a', 'c 2 1 by b', 'c 3 2 by a', 'c 4 2 by b']);
});

it('gives actors turns: who has more mail stands behind those it told', async () => {
  const heard: string[] = [];
  const system = start();
  const b = diary(system, 'b', heard);
  const a: ReturnType<typeof diary> = nact.spawn(
    system,
    (count: number, { say }: Message): number => {
      heard.push(`a ${count} ${say}`);
      if (say !== 'go') return count + 1;
      nact.dispatch(a, { say: 'myself' });
      nact.dispatch(b, { say: 'you' });
      return count + 1;
    },
    'a',
    { initialState: 0 },
  );
  for (const say of ['go', 'queued']) nact.dispatch(a, { say });
  await turns(5);
  expect(heard).toEqual(['a 0 go', 'b 0 you', 'a 1 queued', 'a 2 myself']);
});

it('calls onCrash once for a throw, with message and cause; then the actor and its mail are gone, without a word', async () => {
  const console = vi.spyOn(globalThis.console, 'log');
  const heard: string[] = [];
  const crashes: unknown[] = [];
  const system = start();
  const [a, b] = [diary(system, 'a', heard, crashes), diary(system, 'b', heard)];
  for (const say of ['before', 'throw', 'queued']) nact.dispatch(a, { say });
  nact.dispatch(b, { say: 'others live' });
  await turns(4);
  nact.dispatch(a, { say: 'late' });
  await turns(2);
  expect(heard).toEqual(['a 0 before', 'b 0 others live']);
  expect(crashes).toEqual([[{ say: 'throw' }, new Error('thrown by a')]]);
  expect(console).not.toHaveBeenCalled();
  console.mockRestore();
});

it('drops what is in the mailbox of an actor that is stopped, the message on its way included', async () => {
  const heard: string[] = [];
  const ref = diary(start(), 'a', heard);
  for (const say of ['on its way', 'queued']) nact.dispatch(ref, { say });
  nact.stop(ref);
  nact.dispatch(ref, { say: 'late' });
  await turns(4);
  expect(heard).toEqual([]);
});

it('lets actors run on when only their system is stopped, so the kit stops each of them', async () => {
  const heard: string[] = [];
  const system = start();
  const ref = diary(system, 'a', heard);
  for (const say of ['on its way', 'queued']) nact.dispatch(ref, { say });
  nact.stop(system);
  nact.dispatch(ref, { say: 'late' });
  await turns(4);
  expect(heard).toEqual(['a 0 on its way', 'a 1 queued']);
});

it('survives being told to stop twice', async () => {
  const heard: string[] = [];
  const system = start();
  const ref = diary(system, 'a', heard);
  nact.stop(ref);
  nact.stop(ref);
  nact.stop(system);
  nact.stop(system);
  await turns(2);
});

it('refuses a name with a slash and a name twice, and takes every name of the protocol', () => {
  const system = start();
  for (const name of names) diary(system, name, []);
  expect(() => diary(system, 'pgbouncer/0', [])).toThrow(/path may only contain/);
  expect(() => diary(system, 'unit', [])).toThrow(/already exists/);
});

it('keeps systems apart, although all actors have the same names', async () => {
  const heard: string[] = [];
  const first = start();
  const [a, b] = [diary(first, 'a', heard), diary(start(), 'a', heard)];
  nact.stop(first);
  for (const ref of [a, b]) nact.dispatch(ref, { say: ref === a ? 'to the first' : 'to the second' });
  await turns(2);
  expect(heard).toEqual(['a 0 to the second']);
});
