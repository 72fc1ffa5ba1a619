import type { Leadership } from '../../model/leadership.ts';
import type { BackendAccess, BackendFacts } from '../../model/backend.ts';
import type { Lack } from '../../model/waits.ts';
import type { ClientEffect, ClientSettings, ClientState } from './state.ts';

/** One decision of a leader: under what it acts, and what it comes to, collected while relations and backends are gone through. */
export interface Turn {
  readonly settings: ClientSettings;
  readonly leadership: Leadership;
  readonly now: number;
  readonly effects: ClientEffect[];
  readonly lacks: Lack[];
}

/** What was seen since this leadership began. */
export const factsIn = (
  { facts, factsUnder }: ClientState,
  { leadership }: Turn,
  backend: string,
): BackendFacts | undefined => (factsUnder === leadership.epoch ? facts.get(backend) : undefined);

export const accessOf = ({ intent }: ClientState, name: string): BackendAccess | null => {
  const backend = intent.known ? intent.value?.backends[name] : undefined;
  if (backend === undefined) return null;
  const { endpoints, username, password, maintenanceDatabase } = backend;
  return { name, endpoints, username, password, maintenanceDatabase };
};
