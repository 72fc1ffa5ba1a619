import type { Inspection } from '../../actors/model/workload.ts';
import { formatVersion, isAtLeast, parseVersion } from '../../pgbouncer/version.ts';

/** The oldest that a unit is tested with. Before it: no SHOW of what counts, other passwords, other reloads. */
const oldest = '1.18';

/** From what a program says when it is asked for its version. `remedy` is what to do about one that is none. */
export const programFrom = (path: string, said: string, remedy: string): Inspection['binary'] => {
  const version = parseVersion(said);
  if (version === null) {
    const words = said.trim().split('\n')[0]?.slice(0, 200) ?? '';
    return {
      kind: 'missing',
      reason: `"${path}" is no PgBouncer: asked for its version it says "${words}"; ${remedy}`,
    };
  }
  if (isAtLeast(version, oldest)) return { kind: 'found', version };
  return {
    kind: 'tooOld',
    reason: `"${path}" is PgBouncer ${formatVersion(version)}, and a unit needs ${oldest} or newer`,
  };
};
