import { markOf, type ProcessMark } from '../../src/infra/files/process-mark.ts';

/** On every container of ours: the process that is to remove it. */
export const ownerLabel = 'troupe-test-owner';
/** And the directory of the run that it belongs to, by which a run finds what its tests left. */
export const runLabel = 'troupe-test-run';

export const ownedByUs = (): Record<string, string> => ({ [ownerLabel]: JSON.stringify(markOf(process.pid)) });

/** Of the process that opened the run, whoever starts the container. */
export const ownedBy = (owner: ProcessMark, root: string): Record<string, string> => ({
  [ownerLabel]: JSON.stringify(owner),
  [runLabel]: root,
});

/** Null when the label is of no use, which is nobody's that lives. */
export const ownerOf = (label: string | undefined): ProcessMark | null => JSON.parse(label ?? 'null');
