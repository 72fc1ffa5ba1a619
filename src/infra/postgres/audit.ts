import type {
  Audit,
  BackendAccess,
  BackendServer,
  Finding,
  Provision,
  TaggedLogin,
} from '../../actors/model/backend.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { standingOf } from './fence.ts';
import { faultOf, type Found, foundIn, type Standpoint, standpointOf } from './found.ts';
import { hasLookup } from './lookup.ts';
import { fenceDatabaseOf, lookingSessionsOf, relationOfTag, tagPrefixOf } from './names.ts';
import { createProofs } from './proofs.ts';
import { rolesTagged } from './role.ts';
import type { Session } from './session.ts';
import { isAbsentDatabase, isAbsentTable } from './trouble.ts';
import { createVisits } from './visits.ts';

/** Compares what relations were given with what is there, in a few cheap questions, and lets logins prove their secret when it may be another. */
export interface Auditor extends AsyncDisposable {
  audit(errand: AuditErrand, provisions: readonly Provision[], signal: AbortSignal): Promise<Audit>;
}

export interface AuditErrand {
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  readonly leadership: Leadership;
}

const patience = { connectMs: 1_500, statementMs: 1_500, lockMs: 1_000 };
export const createAuditor = (application: string, clock: Clock): Auditor => {
  const visits = createVisits({ name: lookingSessionsOf(application), clock, patience, oldestMs: 60_000 });
  const proofs = createProofs(lookingSessionsOf(application));
  const database = fenceDatabaseOf(application);

  return {
    audit: async (errand, provisions, signal) => {
      const { access, primary: server, leadership } = errand;
      try {
        const seen = await visits.visit(
          { access, server, database },
          (session) => see(session, application, leadership, provisions),
          signal,
        );
        if (seen.kind !== 'seen') return seen;
        const { logins, found, standpoint } = seen;
        const sound = provisions.filter(({ relation }) => found.get(relation)?.login.isThere === true);
        const proven = await proofs.of({ access, server }, sound, standpoint, signal);
        const findings: Finding[] = provisions.flatMap((provision): readonly Finding[] => {
          const its = found.get(provision.relation);
          if (its === undefined) return [];
          const fault = faultOf(application, provision, its, proven.get(provision.relation) ?? 'unknown');
          return fault === null ? [] : [fault];
        });
        const faulty = new Set(findings.map(({ relation }) => relation));
        for (const provision of provisions) {
          const { relation, lookup } = provision;
          // In the databases that have one only, since a function is seen from within its database.
          if (lookup === undefined || lookup === null || faulty.has(relation)) continue;
          const place = { access, server, database: provision.database };
          if (await visits.visit(place, (session) => hasLookup(session, application, { ...provision, lookup }), signal))
            continue;
          findings.push({ kind: 'mendable', relation, step: 'ensureLookup' });
        }
        return { kind: 'audited', logins, findings };
      } catch (cause) {
        if (isAbsentDatabase(cause) || isAbsentTable(cause)) return { kind: 'unfenced' };
        throw cause;
      }
    },
    [Symbol.asyncDispose]: () => visits[Symbol.asyncDispose](),
  };
};

type Seen =
  | Exclude<Audit, { kind: 'audited' }>
  | {
      readonly kind: 'seen';
      readonly logins: readonly TaggedLogin[];
      readonly found: ReadonlyMap<number, Found>;
      readonly standpoint: Standpoint;
    };

const see = async (
  fence: Session,
  application: string,
  leadership: Leadership,
  provisions: readonly Provision[],
): Promise<Seen> => {
  const standing = await standingOf({ fence, application, leadership }, '');
  if (standing !== 'ours') return { kind: standing === 'past' ? 'fenced' : 'unfenced' };
  const roles = await rolesTagged(fence, tagPrefixOf(application));
  const logins = roles.flatMap(({ name: username, comment }) => {
    const relation = relationOfTag(application, comment);
    return relation === null ? [] : [{ relation, username }];
  });
  const standpoint = await standpointOf(fence);
  const found = await foundIn(fence, provisions, standpoint);
  return { kind: 'seen', logins: logins.toSorted((a, b) => a.relation - b.relation), found, standpoint };
};
