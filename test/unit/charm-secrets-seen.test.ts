import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { first } from '../support/certificates.ts';
import { placesInJuju, seenSecrets, secretsOfJuju } from '../support/charm-ground/secrets.ts';
import type { RanHook, ToolCallRecord } from '../support/juju/hook-record.ts';
import { ProcessSightings } from '../support/sightings.ts';

const application = 'pgbouncer-k8s';
const [ours, others] = ['Ours0Ours0Ours0Ours0Ours0', 'Others0Others0Others0Others0'];
const secrets = new Map([
  ['our password', ours],
  ['the password of another', others],
]);

const call = (given: Partial<ToolCallRecord>): ToolCallRecord => ({
  unit: `${application}/0`,
  hook: 'start',
  index: 0,
  tool: 'relation-set',
  args: ['-r', 'db:3', '--app', '--file', '-'],
  input: null,
  environment: '',
  code: 0,
  askedAtMs: 0,
  tookMs: 0,
  ...given,
});
const hook = (calls: readonly ToolCallRecord[], unit = `${application}/0`): RanHook => ({
  unit,
  hook: 'start',
  code: 0,
  succeeded: true,
  stdout: '',
  stderr: '',
  tookMs: 0,
  calls,
});
const seenIn = (history: readonly RanHook[], inClear: ReadonlyMap<number, ReadonlySet<string>> = new Map()) =>
  seenSecrets(placesInJuju({ history, logs: [] }, application, inClear), secrets);

describe('secrets of a charm that were seen', () => {
  it('are found where they are said, however they are written', () => {
    const input = JSON.stringify({ a: Buffer.from(`login:${ours}@host`).toString('base64') });
    expect(seenIn([hook([call({ input })])])).toEqual([
      'our password was seen in input of relation-set in start of pgbouncer-k8s/0',
    ]);
    expect(seenIn([hook([call({ args: ['active', ours], tool: 'status-set' })])])).toHaveLength(1);
    expect(seenIn([hook([call({ environment: `A=b\0C=${ours}` })])])).toEqual([
      'our password was seen in the environment of hook tools in start of pgbouncer-k8s/0',
    ]);
    expect(seenIn([hook([call({ input })], 'app/0')])).toEqual([]);
  });

  it('may be told to whom they belong, where there is no other way: there alone, and no others', () => {
    const inClear = new Map([[3, new Set([ours])]]);
    expect(seenIn([hook([call({ input: `password: ${ours}` })])], inClear)).toEqual([]);
    expect(seenIn([hook([call({ input: `password: ${others}` })])], inClear)).toHaveLength(1);
    expect(seenIn([hook([call({ args: ['-r', 'db:13', '--file', '-'], input: ours })])], inClear)).toHaveLength(1);
    expect(seenIn([hook([call({ args: ['-r', 'db:3', `password=${ours}`] })])], inClear)).toHaveLength(1);
    expect(seenIn([hook([call({ tool: 'state-set', input: ours })])], inClear)).toHaveLength(1);
  });

  it('are known from what Juju keeps: passwords and keys, of every revision', () => {
    const thing = { xid: '1', owner: { kind: 'unit', name: 'a/0' }, label: 'tls', description: '', latest: 2 } as const;
    const rest = { rotation: null, expiry: null, toldObsolete: new Set<number>(), grants: [], consumers: new Map() };
    const revisions = new Map([
      [1, { password: ours, username: 'not-a-secret' }],
      [2, { 'private-key': first.key, 'tls-ca': first.certificate }],
    ]);
    const known = secretsOfJuju({ secrets: new Map([['1', { ...thing, ...rest, revisions }]]) });
    expect([...known.keys()]).toEqual([
      'password in revision 1 of secret tls of a/0',
      'private-key in revision 2 of secret tls of a/0',
    ]);
    expect(seenSecrets([['a log', first.key]], known)).toHaveLength(1);
    expect(seenSecrets([['a log', first.certificate]], known)).toEqual([]);
  });

  it('are seen in arguments and environments of processes that soon end, of those that are looked at', async () => {
    using mine = new ProcessSightings((pid) => (pid === String(process.pid) ? null : 'mine'));
    using nobodys = new ProcessSightings(() => null);
    await promisify(execFile)('sh', ['-c', 'sleep 0.3', ours], { env: { ...process.env, PLANTED: others } });
    const seen = seenSecrets(
      [...mine.all].map(([text, where]) => [where, text] as const),
      secrets,
    );
    expect(seen).toContainEqual(expect.stringMatching(/^our password was seen in arguments of process \d+ of mine: /));
    expect(seen).toContainEqual(
      expect.stringMatching(/^the password of another was seen in the environment of process \d+ of mine: /),
    );
    expect(nobodys.all.size).toBe(0);
  });
});
