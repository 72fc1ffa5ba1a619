/** What is worth knowing of instances that serve: each as a sentence with its way out. */
import { unheededOptions } from '../../pgbouncer/catalogue.ts';
import { unheededTimeouts } from '../../pgbouncer/client-settings.ts';
import { compareVersions, formatVersion } from '../../pgbouncer/version.ts';
import { counted, type Finding } from '../model/remark.ts';
import type { Inspection } from '../model/workload.ts';
import type { WorkloadState } from './state.ts';
import { recentRepairs } from './repairs.ts';

export const remarksIn = (state: WorkloadState, now: number): readonly Finding[] => {
  const repairs = recentRepairs(state, now).map(
    ({ id, what, at, times }): Finding => ({
      id,
      message: counted(what, times),
      since: at,
    }),
  );
  return state.inspection.known ? [...repairs, ...aboutInstances(state, state.inspection.value)] : repairs;
};

const aboutInstances = (state: WorkloadState, { binary, instances }: Inspection): readonly Finding[] => {
  if (binary.kind !== 'found') return [];
  const options = state.verified?.spec.options ?? {};
  const unheeded = unheededOptions(options, binary.version).map(
    ({ key, needs }): Finding => ({
      id: 'unheeded-option',
      message: `${key} is not heeded: it needs PgBouncer ${needs}, and this is ${formatVersion(binary.version)}: install that or a newer one here, or take the option back (troupe config --reset)`,
    }),
  );
  const settings = (state.verified?.spec.users ?? []).flatMap(({ name, timeouts }) =>
    unheededTimeouts(timeouts, binary.version).map(
      ({ word, since }): Finding => ({
        id: 'unheeded-setting',
        message: `${word} of login ${name} is not heeded: it needs PgBouncer ${since}, and this is ${formatVersion(binary.version)}: install that or a newer one here, or take the setting back (troupe integrate client … --${word} default)`,
      }),
    ),
  );
  const older = instances.flatMap(({ id, version }): readonly Finding[] =>
    version === null || compareVersions(version, binary.version) === 0
      ? []
      : [
          {
            id: 'other-program',
            message: `instance ${id} runs PgBouncer ${formatVersion(version)}, and the program on disk is ${formatVersion(binary.version)}: it changes over when it is restarted next`,
          },
        ],
  );
  return [...unheeded, ...settings.slice(0, mostSettings), ...older, ...aboutDescriptors(state, instances)];
};

/** All clients may have one, and a databag is no place for hundreds. */
const mostSettings = 10;

const aboutDescriptors = ({ files }: WorkloadState, instances: Inspection['instances']): readonly Finding[] =>
  instances.flatMap(({ id, descriptors }): readonly Finding[] => {
    const needed = files?.needed.get(id);
    if (needed === undefined || descriptors === undefined || descriptors === null || needed <= descriptors) return [];
    return [
      {
        id: 'few-descriptors',
        message: `instance ${id} may have ${descriptors} files and connections open and could need ${needed}: raise the limit before new clients hang (LimitNOFILE= of a service, --ulimit nofile= of a container), or lower max_client_conn`,
      },
    ];
  });
