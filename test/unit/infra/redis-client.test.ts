import { describe, expect, it } from 'vitest';
import { targetOf } from '../../../src/infra/redis/connection.ts';
import { failureOf, isRefusedLogin, sentenceOf } from '../../../src/infra/redis/failure.ts';
import { HintLine } from '../../../src/infra/redis/hint-line.ts';
import { judgeServer } from '../../../src/infra/redis/server-check.ts';

/** As the client makes them. */
const replyError = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });

describe('a failed command', () => {
  it.each([
    new Error("Stream isn't writeable and enableOfflineQueue options is false"),
    replyError('MOVED 1 127.0.0.1:7001'),
    replyError('NOAUTH HELLO must be called with the client already authenticated'),
    replyError('LOADING Redis is loading the dataset in memory'),
    replyError("READONLY You can't write against a read only replica."),
    replyError('NOREPLICAS Not enough good replicas to write.'),
    replyError("OOM command not allowed when used memory > 'maxmemory'."),
    replyError('BUSY Redis is busy running a script.'),
    replyError('NOSCRIPT No matching script.'),
    replyError("NOPERM User bp has no permissions to run the 'evalsha' command"),
  ])('did nothing: %s', (cause) => {
    expect(failureOf(cause)).toBe('notSent');
  });

  it.each([
    new Error('Command timed out'),
    new Error('Connection is closed.'),
    Object.assign(new Error('Reached the max retries per request limit (which is 0).'), {
      name: 'MaxRetriesPerRequestError',
    }),
    Object.assign(new Error('Command aborted due to connection close'), { name: 'AbortError' }),
    'no error at all',
  ])('may have done something: %s', (cause) => {
    expect(failureOf(cause)).toBe('unknown');
  });

  it.each([
    replyError('WRONGTYPE Operation against a key holding the wrong kind of value script: ab, on @user_script:40.'),
    replyError('NOPERM No permissions to access a key script: ab, on @user_script:41.'),
    replyError('ERR user_script:3: attempt to index a nil value script: ab, on @user_script:3.'),
  ])('broke off in the middle: %s', (cause) => {
    expect(failureOf(cause)).toBe('partial');
  });

  it.each([
    [new Error("Socket timeout. Expecting data, but didn't receive any in 1500ms."), 'no answer within 1500 ms'],
    [new Error('Command timed out'), 'no answer in time'],
    [new Error('Connection is closed.'), 'the connection was closed'],
    [replyError('WRONGPASS invalid username-password pair'), 'WRONGPASS invalid username-password pair'],
  ])('tells the words of the client in ours, and those of the server as they are: %s', (cause, words) => {
    expect(sentenceOf(cause)).toBe(words);
  });

  it('is told in words, also when Node gives none', () => {
    const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
    expect(sentenceOf(new AggregateError([refused, new Error('connect ECONNREFUSED ::1:1')]))).toBe(
      'ECONNREFUSED; connect ECONNREFUSED ::1:1',
    );
    expect(isRefusedLogin(replyError('WRONGPASS invalid username-password pair'))).toBe(true);
    expect(isRefusedLogin(new Error('connect ECONNREFUSED'))).toBe(false);
  });
});

describe('where the store is', () => {
  it.each([
    ['redis://db1', { host: 'db1', port: 6379, db: 0 }, false, 'redis://db1:6379'],
    ['redis://bp@db1:7000/3', { host: 'db1', port: 7000, db: 3, username: 'bp' }, false, 'redis://db1:7000'],
    ['rediss://[::1]:7000', { host: '::1', port: 7000, db: 0 }, true, 'rediss://[::1]:7000'],
    ['redis://bp%40x@db1', { host: 'db1', port: 6379, db: 0, username: 'bp@x' }, false, 'redis://db1:6379'],
  ])('is read from %s', (url, options, tls, where) => {
    expect(targetOf(url)).toEqual({ options, tls, where });
  });

  it.each(['', 'db1:6379', 'http://db1', 'redis://', 'redis+sentinel://a,b/name', 'redis://host:99999'])(
    'is not %j',
    (url) => {
      expect(() => targetOf(url)).toThrow(/it must look like redis:\/\/host:6379/);
    },
  );

  it('has no password in it, and one that is there is not repeated', () => {
    expect(() => targetOf('redis://a:hunter2@h')).toThrow('its URL holds a password; put the password into a file');
    expect(() => targetOf('nonsense://a:hunter2@h')).toThrow(expect.not.stringContaining('hunter2'));
  });
});

describe('the server', () => {
  it.each([
    ['redis_version:6.2.14', 'Redis 6.2.14'],
    ['redis_version:7.2.4\r\nvalkey_version:7.2.5', 'Valkey 7.2.5'],
    ['redis_version:7.0.15', null],
    ['redis_version:8.0.2', null],
    ['redis_version:7.2.4\r\nvalkey_version:8.1.1', null],
  ])('that says %j is too old: %s', (facts, tooOld) => {
    expect(judgeServer(`# Server\r\n${facts}\r\nos:Linux`).tooOld).toBe(tooOld);
  });

  it('is warned about when it forgets or evicts', () => {
    expect(judgeServer('redis_version:7.0.0\r\naof_enabled:1\r\nmaxmemory_policy:noeviction').warnings).toEqual([]);
    const { warnings } = judgeServer('redis_version:7.0.0\r\naof_enabled:0\r\nmaxmemory_policy:allkeys-lru');
    expect(warnings.join(' ')).toMatch(/appendonly yes.*noeviction/);
  });
});

describe('the line of hints', () => {
  it('rings once for each listener until somebody has looked', () => {
    const line = new HintLine();
    const heard: string[] = [];
    line.ring(); // Nobody listens yet: that is not remembered against those who come.
    using _one = line.listen(() => heard.push('one'));
    line.ring();
    line.ring();
    const two = line.listen(() => heard.push('two'));
    line.ring();
    expect(heard).toEqual(['one', 'two']);
    line.lookedAt();
    two[Symbol.dispose]();
    line.ring();
    expect(heard).toEqual(['one', 'two', 'one']);
    line.lookedAt();
    line.end();
    line.ring();
    expect(heard).toHaveLength(3);
  });
});
