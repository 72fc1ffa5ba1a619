import type { FleetSpec, Published, UserSpec } from '../../src/actors/model/fleet-spec.ts';
import type {
  Application,
  Digest,
  Epoch,
  Generation,
  Nonce,
  RelationId,
  UnitName,
  WallMs,
} from '../../src/actors/model/ids.ts';
import type { BackendIntent, ClientIntent, Intent } from '../../src/actors/model/intent.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { LeaseView, RelationRecord, Snapshot, UnitBag, UnitRecord } from '../../src/actors/model/snapshot.ts';

export const application = 'pgbouncer' as Application;
export const unit = (number: number): UnitName => `pgbouncer/${number}` as UnitName;
export const epoch = (number: number): Epoch => number as Epoch;
export const generation = (number: number): Generation => number as Generation;
export const relation = (number: number): RelationId => number as RelationId;
export const nonce = (text: string): Nonce => text as Nonce;
export const wall = (ms: number): WallMs => ms as WallMs;

export const leadershipOf = (changes: Partial<Leadership> = {}): Leadership => ({
  epoch: epoch(1),
  nonce: nonce('n0'),
  holder: unit(0),
  until: 10_000,
  ...changes,
});

const freeLease: LeaseView = { holder: null, nonce: null, epoch: epoch(0), freeInMs: 0 };

export const specOf = (changes: Partial<FleetSpec> = {}): FleetSpec => ({
  options: { listen_port: 6432 },
  backends: [],
  abandoned: [],
  databases: [],
  users: [],
  slots: [{ unit: unit(0), instances: 2 }],
  holdings: [],
  ...changes,
});

export const userOf = (name: string, secret: string | Secret, changes: Partial<UserSpec> = {}): UserSpec => ({
  name,
  secret: typeof secret === 'string' ? new Secret(secret) : secret,
  poolMode: null,
  maxConnections: 0,
  timeouts: {},
  ...changes,
});

export const publishedOf = (changes: Partial<Published> = {}): Published => ({
  generation: generation(1),
  epoch: epoch(1),
  digest: `digest-${changes.generation ?? 1}` as Digest,
  author: unit(0),
  reason: 'first',
  at: wall(0),
  intentVersion: 0,
  spec: specOf(),
  ...changes,
});

export const backendOf = (changes: Partial<BackendIntent> = {}): BackendIntent => ({
  id: relation(1),
  endpoints: ['db1:5432'],
  username: 'troupe_admin',
  password: new Secret('pg'),
  maintenanceDatabase: 'postgres',
  cluster: null,
  ...changes,
});

export const clientOf = (changes: Partial<ClientIntent> = {}): ClientIntent => ({
  id: relation(2),
  database: 'orders',
  backend: 'main',
  extraUserRoles: [],
  poolMode: null,
  budget: null,
  timeouts: {},
  ...changes,
});

export const intentOf = (changes: Partial<Intent> = {}): Intent => ({
  version: 1,
  author: 'alice',
  reason: '',
  at: wall(0),
  nextRelation: relation(3),
  options: {},
  backends: { main: backendOf() },
  clients: { orders: clientOf() },
  departures: [],
  unreadable: [],
  ...changes,
});

export const accountOf = (username = 'pgbouncer_orders_2') => ({
  username,
  password: new Secret('s3cret'),
  verifier: new Secret('SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy'),
});

export const recordOf = (changes: Partial<RelationRecord> = {}): RelationRecord => ({
  id: relation(2),
  name: 'orders',
  database: 'orders',
  backend: 'main',
  account: accountOf(),
  provisioned: true,
  databag: null,
  ...changes,
});

export const bagOf = (changes: Partial<UnitBag> = {}): UnitBag => ({
  status: 'active',
  message: '',
  pid: 100,
  version: '0.1.0',
  address: '127.0.0.11:6432',
  applied: generation(1),
  refused: null,
  instances: [],
  budget: [],
  tls: null,
  backends: [],
  waits: [],
  remarks: [],
  ...changes,
});

export const unitRecordOf = (number: number, changes: Partial<UnitRecord> = {}): UnitRecord => ({
  unit: unit(number),
  instances: 2,
  nonce: nonce(`n${number}`),
  silentMs: 100,
  presence: 'live',
  bag: bagOf({ address: `127.0.0.${11 + number}:6432` }),
  ...changes,
});

export const snapshotOf = (changes: Partial<Snapshot> = {}): Snapshot => ({
  lease: freeLease,
  intent: null,
  published: null,
  verdict: { covers: 0, good: null, refused: null },
  units: [unitRecordOf(0)],
  relations: [],
  damaged: [],
  ...changes,
});
