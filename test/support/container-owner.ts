import { markOf, type ProcessMark } from '../../src/infra/files/process-mark.ts';

/** On every container of ours: the process that is to remove it. */
export const ownerLabel = 'troupe-test-owner';

export const ownedByUs = (): Record<string, string> => ({ [ownerLabel]: JSON.stringify(markOf(process.pid)) });

/** Null when the label is of no use, which is nobody's that lives. */
export const ownerOf = (label: string | undefined): ProcessMark | null => JSON.parse(label ?? 'null');
