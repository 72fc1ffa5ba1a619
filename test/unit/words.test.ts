import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pages } from '../../scripts/words-page.ts';
import { lack } from '../../src/actors/model/wait-catalogue.ts';

it.each(pages())('$file says what the code says (npm run words writes it)', ({ file, text }) => {
  expect(readFileSync(file, 'utf8')).toBe(text);
});

describe('every wait', () => {
  const entries = Object.values(lack).map(({ entry }) => ({ ...entry, example: entry.example() }));

  it.each(entries)('of $id says what and which, why, and what to do or what ends it', ({ example }) => {
    const [what = '', rest = ''] = split(example.message, ': ');
    const [why = '', way = ''] = split(rest, '; ');
    for (const part of [what, why, way]) expect(part.split(' ').length).toBeGreaterThan(1);
  });

  it.each(entries)('of $id is one line that a screen holds, without a full stop', ({ example }) => {
    expect(example.message.length).toBeLessThan(360);
    expect(example.message).toMatch(/^\S[^\n\r\t]*[^\s.!?:;,]$/);
    expect(example.message).not.toMatch(/undefined|null|NaN|\[object|\.\.| {2}/);
  });

  it.each(entries)('of $id names who can end it', ({ example: { on, kind } }) => {
    for (const whom of on.split(', '))
      expect(whom).toMatch(
        /^(?:operator|backplane|certificates|leader|units|workload|kubernetes|[a-z]+\/\d+|backend:[a-z]+)$/,
      );
    if (on === 'operator') expect(kind).toBe('blocked');
  });

  it.each(entries)('of $id has its parameters filled in', ({ id, example }) => {
    expect(example.id).toMatch(/^[a-z]+(?:[:_-][a-z]+)*$/);
    expect(example.id.split(':').length).toBe(id.split(':').length);
  });

  it.each(entries)(
    'of $id tells on the page when it comes and what to do, in full sentences',
    ({ happens, remedy }) => {
      for (const text of [happens, remedy]) expect(text).toMatch(/^[A-Z`].*\.$/);
    },
  );

  it.each(entries)('of $id never tells somebody who is blocked to do nothing', ({ example, remedy }) => {
    if (example.kind === 'blocked') expect(remedy).not.toMatch(/^Nothing/);
  });

  it('keeps one sentence on one line, however much others have to say', () => {
    const listing = `one\n  two.\n${'x'.repeat(5_000)}`;
    const { message } = lack.backendUnfit({ name: 'main', reason: listing });
    expect(message).toMatch(/^backend "main" cannot be used: one two\. x+…; mend that/);
    expect(message.length).toBeLessThan(600);
  });
});

const split = (text: string, at: string): readonly string[] => {
  const index = text.indexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + at.length)];
};
