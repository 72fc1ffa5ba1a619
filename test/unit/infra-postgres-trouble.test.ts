import { DatabaseError } from 'pg';
import { describe, expect, it } from 'vitest';
import { StillBusy, troubleOf } from '../../src/infra/postgres/trouble.ts';

const answer = (code: string, message = 'no', more: { detail?: string; hint?: string } = {}): DatabaseError =>
  Object.assign(new DatabaseError(message, 0, 'error'), { code, ...more });

describe('trouble with PostgreSQL', () => {
  it.each([
    ...['08006', '25006', '40001', '40P01', '53200', '53300', '55006', '55P03', '57014', '57P01', '57P03', '42710'],
  ])('%s may pass', (code) => {
    expect(troubleOf(answer(code))?.kind).toBe('away');
  });

  it.each(['28P01', '28000', '3D000', '42501', '53100', '2BP01', 'XX000', '0A000', '42601'])(
    '%s needs a person',
    (code) => {
      expect(troubleOf(answer(code))?.kind).toBe('refused');
    },
  );

  it('that is only two at the same moment may pass', () => {
    expect(troubleOf(answer('XX000', 'tuple concurrently updated'))?.kind).toBe('away');
  });

  it('is told in the words of PostgreSQL, with its detail, its hint and what to do', () => {
    const words = troubleOf(answer('3D000', 'database "x" does not exist', { detail: 'D', hint: 'H' }))?.words;
    expect(words).toMatch(/^PostgreSQL says: database "x" does not exist \(3D000\); D; H; name a database/);
  });

  it('without an answer may pass, and every address that was tried is named', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:5'), { code: 'ECONNREFUSED' });
    expect(troubleOf(refused)).toMatchObject({ kind: 'away', words: 'connect ECONNREFUSED ::1:5' });
    const both = new AggregateError([new Error('connect A'), new Error('connect B')]);
    expect(troubleOf(both)).toMatchObject({ kind: 'away', words: 'connect A, connect B' });
    expect(troubleOf(new Error('timeout expired'))).toMatchObject({ kind: 'away', words: 'no answer in time' });
    expect(troubleOf(new StillBusy('still there'))).toMatchObject({ kind: 'away', words: 'still there' });
  });

  it('with the proof that the server knows the password needs a person', () => {
    const cause = new Error('SASL: SCRAM-SERVER-FINAL-MESSAGE: server signature does not match');
    expect(troubleOf(cause)).toMatchObject({ kind: 'refused', words: expect.stringContaining('is this the server') });
  });

  it('is not what a defect of ours is', () => {
    for (const defect of [new Error('what?'), new TypeError('x is undefined'), 'text', undefined])
      expect(troubleOf(defect)).toBeNull();
    const wrongArgument = Object.assign(new TypeError('port'), { code: 'ERR_INVALID_ARG_TYPE' });
    expect(troubleOf(wrongArgument)).toBeNull();
  });
});
