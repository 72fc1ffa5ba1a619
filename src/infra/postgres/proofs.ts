import type { BackendAccess, BackendServer, Provision } from '../../actors/model/backend.ts';
import type { Secret } from '../../actors/model/secret.ts';
import type { Standpoint } from './found.ts';
import { type Proof, proveLogin } from './prove-login.ts';

/**
 * Lets logins prove their secret where our login cannot read it. While nothing is written in the cluster nobody does. When roles have
 * changed all do, at once; else, while something is written, a few in each audit, those first whose proof is the oldest: a change of
 * which the statistics tell late is found so.
 */
export interface Proofs {
  of(
    place: Place,
    provisions: readonly Provision[],
    standpoint: Standpoint,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, Proof>>;
}

interface Place {
  readonly access: BackendAccess;
  readonly server: BackendServer;
}

/** In one audit: when roles have changed, and else. */
const most = { changed: 32, usual: 2 };
const sideBySide = 8;

interface Proven {
  readonly verifier: Secret;
  readonly roles: string;
  /** Null where it did not say. */
  readonly snapshot: string | null;
}

export const createProofs = (name: string): Proofs => {
  /** Of each place, by login: under which standpoint it was proven, the oldest first. */
  const places = new Map<string, ReadonlyMap<string, Proven>>();

  return {
    of: async (place, provisions, standpoint, signal) => {
      const proofs = new Map<number, Proof>();
      if (standpoint.readsSecrets) return proofs;
      const before = places.get(keyOf(place)) ?? new Map<string, Proven>();
      const due = dueOf(before, provisions, standpoint);
      const dueNames = new Set(due.map(({ username }) => username));
      const there = new Set(provisions.map(({ username }) => username));
      const proven = new Map([...before].filter(([username]) => there.has(username) && !dueNames.has(username)));
      while (due.length > 0) {
        await Promise.all(
          due.splice(0, sideBySide).map(async (provision) => {
            const proof = await proveLogin({ ...place, name }, provision, signal);
            const { relation, username, verifier } = provision;
            proofs.set(relation, proof);
            // What has another secret is told in each audit until it was given its own again.
            if (proof === 'another') return;
            const { roles, snapshot } = standpoint;
            proven.set(username, { verifier, roles, snapshot: proof === 'same' ? snapshot : null });
          }),
        );
      }
      places.set(keyOf(place), proven);
      return proofs;
    },
  };
};

const dueOf = (
  proven: ReadonlyMap<string, Proven>,
  provisions: readonly Provision[],
  { roles, snapshot }: Standpoint,
): Provision[] => {
  const order = new Map([...proven.keys()].map((username, index) => [username, index]));
  const standingOf = ({ username, verifier }: Provision): 'proven' | 'usual' | 'urgent' => {
    const last = proven.get(username);
    if (last?.roles !== roles || !last.verifier.equals(verifier)) return 'urgent';
    return last.snapshot === snapshot ? 'proven' : 'usual';
  };
  const byAge = provisions.toSorted((a, b) => (order.get(a.username) ?? -1) - (order.get(b.username) ?? -1));
  const those = (standing: 'usual' | 'urgent') => byAge.filter((provision) => standingOf(provision) === standing);
  return [...those('urgent').slice(0, most.changed), ...those('usual').slice(0, most.usual)];
};

const keyOf = ({ access: { name }, server: { host, port } }: Place): string => JSON.stringify([name, host, port]);
