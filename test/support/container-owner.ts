import { markOf, type ProcessMark } from '../../src/infra/local/process-mark.ts';

/** On every container of ours: the process that is to remove it. */
export const ownerLabel = 'troupe-test-owner';

export const ownedByUs = async (): Promise<Record<string, string>> => {
  const { pid, startedAt } = await markOf(process.pid);
  return { [ownerLabel]: `${pid}:${startedAt}` };
};

export const ownerOf = (label: string | undefined): ProcessMark => {
  const [pid, startedAt] = (label ?? '').split(':');
  return { pid: Number(pid), startedAt: Number(startedAt) };
};
