/** What somebody did by hand to files and processes that are this unit's: it is put right like any other difference, and told. */
import { amissIn } from '../../pgbouncer/plan.ts';
import { settingsIn } from '../../pgbouncer/ini.ts';
import type { Inspection, InstanceFact } from '../model/workload.ts';
import type { WorkloadState } from './state.ts';

/** Compared with the files that we wrote last. After a step that failed, a difference may be our own. */
export const tamperingIn = ({ files, trouble }: WorkloadState, inspection: Inspection): readonly string[] => {
  if (files === null || trouble !== null) return [];
  const { rendered } = files;
  const { disk, instances } = inspection;
  const byInstance = rendered.instances.flatMap(({ id, ini }) => [
    ...changed(`the ini of instance ${id}`, disk.instances.find((one) => one.id === id)?.ini ?? null, ini),
    ...instances.filter((fact) => fact.id === id).flatMap((fact) => onConsole(fact, ini)),
  ]);
  return [...changed('the auth file', disk.authFile?.reveal() ?? null, rendered.authFile.reveal()), ...byInstance];
};

const changed = (what: string, is: string | null, ours: string): readonly string[] =>
  is === ours ? [] : [`${what} was ${is === null ? 'removed' : 'changed'}`];

const onConsole = (fact: InstanceFact, ini: string): readonly string[] => {
  const { id, state, settings, paused, halted = [], unlinked } = fact;
  if (state !== 'running') return [];
  const wanted = settingsIn(ini);
  const hasLoaded = settings?.['syslog_ident'] === wanted.get('syslog_ident');
  const amiss = hasLoaded ? amissIn(fact, wanted, ini) : [];
  return [
    ...(amiss.length === 0 ? [] : [`${amiss.slice(0, 3).join(', ')} of instance ${id} was set`]),
    ...(paused ? [`instance ${id} was paused`] : []),
    ...(halted.length === 0 ? [] : [`database ${halted.slice(0, 3).join(', ')} of instance ${id} was halted`]),
    ...(unlinked === true ? [`the socket of instance ${id} was removed`] : []),
  ];
};
