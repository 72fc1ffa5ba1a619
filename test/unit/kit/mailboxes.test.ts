import { expect, it } from 'vitest';
import { Mailboxes } from '../../../src/actors/kit/mailboxes.ts';
import { Random } from '../../../src/actors/kit/random.ts';
import type { Name } from '../../../src/actors/kit/behaviour.ts';
import { names, toy } from './toy.ts';

const put = (mailboxes: Mailboxes, name: Name, type: string): void => {
  const [to, message] = toy(name, { type });
  mailboxes.put('outside', to, message);
};

it('an actor that has stopped has no mail, now and later, and the others keep theirs', () => {
  const mailboxes = new Mailboxes(names, 'turns', new Random(1));
  const heard: string[] = [];
  put(mailboxes, 'leader', 'lost');
  mailboxes.close('leader');
  expect(mailboxes.isEmpty).toBe(true);
  put(mailboxes, 'config', 'kept');
  put(mailboxes, 'leader', 'late');
  expect(mailboxes.size).toBe(1);
  while (!mailboxes.isEmpty) mailboxes.handOver((name, { type }) => heard.push(`${name} ${type}`));
  expect(heard).toEqual(['config kept']);
});

it('an actor may stop over the message it handles', () => {
  const mailboxes = new Mailboxes(names, 'turns', new Random(1));
  for (const type of ['first', 'lost']) put(mailboxes, 'leader', type);
  mailboxes.handOver((name) => mailboxes.close(name));
  expect(mailboxes.isEmpty).toBe(true);
  mailboxes.close('leader');
  expect(mailboxes.size).toBe(0);
});
