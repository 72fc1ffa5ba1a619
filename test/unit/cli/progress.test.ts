import { describe, expect, it } from 'vitest';
import { progressOn } from '../../../src/infra/cli/progress.ts';
import { widthOf } from '../../../src/infra/cli/screen.ts';
import { Captured } from './harness.ts';

describe('progress', () => {
  it('in a file or a pipe is a line for each change', () => {
    const output = new Captured();
    {
      using progress = progressOn(output);
      for (const text of ['waiting for a', 'waiting for a', 'waiting for b\u001b[2J']) progress.show(text);
    }
    expect(output.text).toBe('waiting for a\nwaiting for b\\u001b[2J\n');
  });

  it('on a terminal is one line that leaves nothing behind', () => {
    const output = new Captured(true);
    {
      using progress = progressOn(output);
      progress.show('x'.repeat(200));
      progress.show('waiting for b');
    }
    const drawn = output.text.split('\r').slice(1);
    expect(drawn.map((line) => widthOf(line.replace('\u001b[K', '')))).toEqual([79, 15, 0]);
    expect(output.text).not.toContain('\n');
  });

  it('that never showed anything writes nothing', () => {
    const output = new Captured(true);
    progressOn(output)[Symbol.dispose]();
    expect(output.text).toBe('');
  });
});
