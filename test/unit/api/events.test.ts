import fc from 'fast-check';
import { expect, it } from 'vitest';
import { aliveText, createEventReader, encodeEvent } from '../../../src/api/events.ts';

it('events arrive as they were sent, in whatever pieces the stream comes', () => {
  const event = fc.record({ event: fc.constantFrom('status', 'x'), data: fc.json() });
  fc.assert(
    fc.property(fc.array(event), fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (events, sizes) => {
      const stream = events.map((one) => encodeEvent(one) + aliveText).join('');
      const read = createEventReader();
      const got = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        got.push(...read(stream.slice(at, at + size)));
        at += size;
      }
      expect(got).toEqual(events);
    }),
  );
});

it('lines may end as others end them, and what is unknown is passed over', () => {
  const read = createEventReader();
  expect(read('id: 7\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\n: comment\n\nretry\ndata\n\n')).toEqual([
    { event: 'a', data: '1\n2' },
    { event: 'message', data: '' },
  ]);
});

it('an event that never ends is refused', () => {
  const read = createEventReader(100);
  read('data: short\n\n');
  expect(() => read(`data: ${'x'.repeat(200)}`)).toThrow('longer than 100');
});
