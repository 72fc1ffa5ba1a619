import { describe, expect, it } from 'vitest';
import { firstAnswerIn } from '../../../src/infra/pebble/plain-http.ts';

const sized = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
const inParts = 'HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n';

describe('answers on one connection', () => {
  it('are read one after the other, wherever they are cut', () => {
    const bytes = Buffer.from(sized + inParts + sized);
    for (let cut = 0; cut < sized.length; cut += 1) expect(firstAnswerIn(bytes.subarray(0, cut))).toBeNull();
    const first = firstAnswerIn(bytes);
    expect(first?.answer).toEqual({ status: 200, type: 'application/json', body: Buffer.from('{}') });
    const rest = first?.rest ?? Buffer.alloc(0);
    for (let cut = 0; cut < inParts.length; cut += 1) expect(firstAnswerIn(rest.subarray(0, cut))).toBeNull();
    const second = firstAnswerIn(rest);
    expect(second?.answer).toEqual({ status: 404, type: '', body: Buffer.from('abc0123456789') });
    expect(second?.rest.toString()).toBe(sized);
  });

  it.each([
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n'],
    ['a part without a size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n'],
    ['a part of another size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcdef\r\n'],
  ])('are refused for %s', (_, text) => {
    expect(() => firstAnswerIn(Buffer.from(text))).toThrow(/answer/);
  });
});
