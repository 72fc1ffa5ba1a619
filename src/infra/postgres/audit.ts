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
import { faultOf, type Found, foundIn } from './found.ts';
import { fenceDatabaseOf, lookingSessionsOf, relationOfTag, tagPrefixOf } from './names.ts';
import { type Proof, proveLogin } from './prove-login.ts';
import { rolesTagged } from './role.ts';
import type { Session } from './session.ts';
import { isAbsentDatabase, isAbsentTable } from './trouble.ts';
import { createVisits } from './visits.ts';

/** Compares what relations were given with what is there, in three cheap questions, and lets some logins prove their secret. */
export interface Auditor extends AsyncDisposable {
  audit(errand: AuditErrand, provisions: readonly Provision[], signal: AbortSignal): Promise<Audit>;
}

export interface AuditErrand {
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  readonly leadership: Leadership;
}

const patience = { connectMs: 1_500, statementMs: 1_500, lockMs: 1_000 };
/** Only a superuser can read which secrets roles have; else they are tried in turn, so many in each audit. */
const proofsEach = 2;

export const createAuditor = (application: string, clock: Clock): Auditor => {
  const visits = createVisits({ name: lookingSessionsOf(application), clock, patience, oldestMs: 60_000 });
  const turns = new Map<string, number>();
  const database = fenceDatabaseOf(application);

  /** Those whose turn it is. */
  const inTurn = (backend: string, provisions: readonly Provision[]): readonly Provision[] => {
    const from = turns.get(backend) ?? 0;
    turns.set(backend, from + proofsEach);
    const count = Math.min(proofsEach, provisions.length);
    return Array.from({ length: count }, (_, index) => provisions[(from + index) % provisions.length]).filter(
      (provision) => provision !== undefined,
    );
  };

  const prove = async (
    { access, primary: server }: AuditErrand,
    provisions: readonly Provision[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, Proof>> =>
    new Map(
      await Promise.all(
        inTurn(access.name, provisions).map(async (provision) => {
          const proof = await proveLogin({ access, server, name: lookingSessionsOf(application) }, provision, signal);
          return [provision.relation, proof] as const;
        }),
      ),
    );

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
        const { logins, found, areSecretsKnown } = seen;
        const sound = provisions.filter(({ relation }) => found.get(relation)?.login.isThere === true);
        const proofs = areSecretsKnown ? new Map<number, Proof>() : await prove(errand, sound, signal);
        const findings = provisions.flatMap((provision): readonly Finding[] => {
          const its = found.get(provision.relation);
          if (its === undefined) return [];
          const fault = faultOf(application, provision, its, proofs.get(provision.relation) ?? 'unknown');
          return fault === null ? [] : [fault];
        });
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
      readonly areSecretsKnown: boolean;
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
  const { found, areSecretsKnown } = await foundIn(fence, provisions);
  return { kind: 'seen', logins: logins.toSorted((a, b) => a.relation - b.relation), found, areSecretsKnown };
};
