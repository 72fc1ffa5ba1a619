import { describe, expect, it } from 'vitest';
import { loadUnitSettings, unitFlagsIn } from '../../src/settings.ts';

const defaults = { stateDir: '/var/lib/troupe', runDir: '/run/troupe', cpus: 2 };
const problemsWith = (given: Readonly<Record<string, string>>): readonly string[] => {
  const loaded = loadUnitSettings({}, given, defaults);
  return loaded.kind === 'invalid' ? loaded.problems : [];
};

describe('the flags of a unit', () => {
  it('are the settings they name, with a space or an equals sign', () => {
    expect(unitFlagsIn(['--unit', 'pgbouncer/2', '--pgbouncer=/opt/a=b', '--user='])).toEqual({
      help: false,
      flags: { TROUPE_UNIT: 'pgbouncer/2', TROUPE_PGBOUNCER: '/opt/a=b', TROUPE_USER: '' },
      problems: [],
    });
  });

  it.each([
    [['--frobnicate', '1'], ['there is no flag --frobnicate: remove it']],
    [['--Unit=pgbouncer/0'], ['there is no flag --Unit']],
    [['--unit'], ['--unit needs a value: write --unit=VALUE']],
    [['--unit', '--user', 'me'], ['--unit needs a value']],
    [['--user', 'a', '--user=b'], ['--user is given twice: give it once']],
    [['pgbouncer/0'], ['"pgbouncer/0" is more than it takes: settings are flags']],
    [['-x'], ['"-x" is more than it takes']],
  ])('%j are refused with a sentence for each fault', (args, sentences) => {
    expect(unitFlagsIn(args).problems).toEqual(sentences.map((words) => expect.stringContaining(words)));
  });

  it.each([['--help'], ['-h']])('%s asks for help, whatever else is wrong', (word) => {
    expect(unitFlagsIn(['--frobnicate', word])).toMatchObject({ help: true, problems: [] });
  });
});

describe('a setting that cannot be', () => {
  it.each([
    [{ TROUPE_LEASE_TTL: '1s' }, 'TROUPE_LEASE_TTL=1s: must be from 2s to 5m'],
    [{ TROUPE_DRAIN_DELAY: '2h' }, 'TROUPE_DRAIN_DELAY=2h: must be from 0s to 1h'],
    [{ TROUPE_STATE_DIR: 'var' }, 'TROUPE_STATE_DIR=var: must be an absolute path, such as /var/lib/troupe'],
    [
      { TROUPE_UNIT: 'other/0' },
      'TROUPE_UNIT=other/0: names application "other", but TROUPE_APPLICATION is "pgbouncer"',
    ],
  ])('%j is named with what it must be', (given, sentence) => {
    expect(problemsWith(given)).toEqual([sentence]);
  });

  it('is told beside the others', () => {
    expect(problemsWith({ TROUPE_INSTANCES: '0', TROUPE_USER: 'a b' })).toHaveLength(2);
  });
});
