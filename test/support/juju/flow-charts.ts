/**
 * What the charm's own hooks leave in bags and secrets, chart by chart of the ancestor's event flow: rows of the tables in
 * `test/golden/juju`. Everything comes from hooks that ran in a model of Juju.
 */
import { createHurriedClock } from '../hurried-clock.ts';
import { authority, first } from '../certificates.ts';
import { application, CharmFleet } from '../charm-fleet.ts';
import { countedCredentials } from '../counted-credentials.ts';
import type { Chart, Row } from './golden-table.ts';
import { ownSideOf, type Values } from './things.ts';

const peers = 'pgb-peers';
/** Of keys that the ancestor has and we do not. */
const none = '(none)';

const open = (units: number): Promise<CharmFleet> =>
  CharmFleet.open(1, units, { clock: createHurriedClock(5_000), credentials: countedCredentials() });

const serving = async (units: number): Promise<CharmFleet> => {
  const fleet = await open(units);
  fleet.relateBackend();
  fleet.relateClient('orders');
  await fleet.settle();
  return fleet;
};

/** Everything of ours that is stored, by place and key, in words that are the same in every run. */
const shownBy = (fleet: CharmFleet): ReadonlyMap<string, ReadonlyMap<string, string>> => {
  const { juju } = fleet;
  const places = new Map<string, ReadonlyMap<string, string>>();
  const put = (place: string, values: Values): void => {
    const told = Object.entries(values).filter(([key]) => !keptByJuju.has(key));
    if (told.length > 0) places.set(place, new Map(told.map(([key, value]) => [key, shown(fleet, key, value)])));
  };
  const leader = juju.leaderOf(application);
  for (const relation of juju.relations.values()) {
    const { endpoint, application: side } = ownSideOf(relation, application);
    if (side.name !== application) continue;
    for (const [member, bag] of relation.bags) {
      if (member === application) put(`${endpoint}: our application bag`, bag);
      else if (member.startsWith(`${application}/`) && juju.unitsOf(application).includes(member))
        put(`${endpoint}: unit bag of ${member === leader ? 'the leader' : 'a follower'}`, bag);
    }
  }
  for (const { owner, label, revisions, latest } of juju.secrets.values())
    if (owner.name.startsWith(application)) put(`secret ${label}`, revisions.get(latest) ?? {});
  return places;
};

const keptByJuju: ReadonlySet<string> = new Set(['egress-subnets', 'ingress-address', 'private-address']);

/** Of what units tell each other: what differs each time, and what other tests are about. */
const leftOut: ReadonlySet<string> = new Set([
  'message',
  'pid',
  'version',
  'remarks',
  'at',
  'sinceWallMs',
  'kind',
  'on',
]);
const placeholders: Readonly<Record<string, string>> = {
  epoch: '<epoch>',
  generation: '<generation>',
  applied: '<generation>',
  digest: '<digest>',
  fingerprint: '<fingerprint>',
  nonce: '<nonce>',
  intentVersion: '<version>',
  covers: '<version>',
  options: '<options>',
  systemId: '<system>',
};

const shown = (fleet: CharmFleet, key: string, value: string): string => {
  if (value === '') return '(empty)';
  const told = key.startsWith('troupe-') ? JSON.stringify(plain(JSON.parse(value))) : value;
  const named = [...fleet.juju.secrets.values()].reduce(
    (text, { xid, label }) => text.replaceAll(xid, `<${label}>`),
    told,
  );
  return named
    .replaceAll(/-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----(\\n|\n)?/gs, '<request>')
    .replaceAll(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(\\n|\n)?/gs, '<certificate>')
    .replaceAll(/-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n?/gs, '<key>')
    .replaceAll(/password-\d+/g, '<password>')
    .replaceAll(/"(request-id|salt)":"[0-9a-f]{16}"/g, '"$1":"<$1>"')
    .replaceAll(/^[\w+/]{43}=$/g, '<key>')
    .replaceAll('\n', ' ');
};

const plain = (value: unknown, key = ''): unknown => {
  const placeholder = placeholders[key];
  if (placeholder !== undefined && value !== null) return placeholder;
  if (Array.isArray(value)) return value.map((one) => plain(one));
  if (typeof value !== 'object' || value === null) return value;
  if ('$sealed' in value) return '<sealed>';
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !leftOut.has(name))
      .map(([name, inner]) => [name, plain(inner, name)]),
  );
};

/** What differs from `before`, place by place. */
const changedSince = (before: ReturnType<typeof shownBy>, fleet: CharmFleet, when = ''): readonly Row[] =>
  [...shownBy(fleet)]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .flatMap(([place, values]) =>
      [...values]
        .filter(([key, value]) => before.get(place)?.get(key) !== value)
        .toSorted(([a], [b]) => a.localeCompare(b))
        .map(([key, value]): Row => [`${when}${place}`, key, value]),
    );

/** For keys of the ancestor: throws when we have one of that name after all. */
const without = (fleet: CharmFleet, ...keys: readonly (readonly [place: string, key: string])[]): readonly Row[] =>
  keys.map(([place, key]): Row => {
    const value = [...shownBy(fleet)].find(([at]) => at === place)?.[1].get(key);
    return [place, key, value ?? none];
  });

const peerKeys = [
  [`${peers}: our application bag`, 'pgb_dbs_config'],
  [`${peers}: our application bag`, 'current_port'],
  [`${peers}: our application bag`, 'readonly_dbs'],
  [`${peers}: unit bag of the leader`, 'container_initialised'],
  [`${peers}: unit bag of the leader`, 'userlist_nonce'],
  [`${peers}: unit bag of the leader`, 'pgb_dbs'],
  [`secret pgb-peers.${application}.app`, 'auth-file'],
  [`secret pgb-peers.${application}.app`, 'monitoring-password'],
  [`secret pgb-peers.${application}.app`, 'admin-password'],
  ['upgrade: our application bag', 'upgrade-stack'],
  ['upgrade: our application bag', 'dependencies'],
  ['upgrade: unit bag of the leader', 'state'],
] as const;

const certificateKeys = ['cert', 'cauth', 'chain'].map((key) => [`secret pgb-peers.${application}.unit`, key] as const);

const startup = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(2);
  const peerData = (place: string): boolean => place.startsWith(peers) || place === 'secret troupe';
  return changedSince(new Map(), fleet).filter(([place]) => !peerData(place));
};

const peerData = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(2);
  const ours = changedSince(new Map(), fleet).filter(([place]) => place.startsWith(peers) || place === 'secret troupe');
  const bag = fleet.juju.bag(fleet.juju.relationsOf(application, peers)[0] ?? 0, fleet.unitName(0));
  const isAddress = bag['private-address'] === fleet.juju.unit(fleet.unitName(0)).address;
  const address: Row = [`${peers}: every unit bag`, 'private-address', isAddress ? '<address of the pod>' : 'another'];
  return [...ours, address, ...without(fleet, ...peerKeys)];
};

const configUpdates = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(2);
  const before = shownBy(fleet);
  fleet.juju.configure(application, { pool_mode: 'transaction' });
  await fleet.settle();
  const options = changedSince(before, fleet, 'pool_mode changed; ');
  const then = shownBy(fleet);
  fleet.juju.configure(application, { listen_port: 6433 });
  await fleet.settle();
  const port = changedSince(then, fleet, 'listen_port changed; ');
  const last = shownBy(fleet);
  fleet.relateClient('reports');
  await fleet.settle();
  const related = changedSince(last, fleet, 'another client related; ').filter(([place]) => place.includes(peers));
  return [...options, ...port, ...related];
};

const leaderUpdates = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(3);
  const { juju } = fleet;
  const dying = fleet.unitName(2);
  juju.moveLeadership(application, dying);
  await fleet.settle();
  const [relation = 0] = juju.relationsOf(application, peers);
  const before = shownBy(fleet);
  const own = juju.bag(relation, dying);
  juju.scale(application, 2);
  juju.moveLeadership(application, null);
  await fleet.upTo(2, 'database-relation-broken');
  const flagged = Object.keys(juju.bag(relation, dying)).filter((key) => key.includes('departing'));
  const told = Object.entries(juju.bag(relation, dying)).filter(([key, value]) => own[key] !== value);
  const departs: readonly Row[] = [
    ['the leader leaves: its unit bag', 'database_<id>_departing', flagged.join() || none],
    ...told.map(([key, value]): Row => ['the leader leaves: its unit bag', key, shown(fleet, key, value)]),
  ];
  await fleet.settle();
  const meanwhile = changedSince(before, fleet, 'nobody leads; ').filter(([place]) => !place.includes('unit bag'));
  const then = shownBy(fleet);
  juju.moveLeadership(application, fleet.unitName(0));
  await fleet.upTo(0, 'leader-elected');
  return [
    ...departs,
    ...(meanwhile.length === 0
      ? [['nobody leads: all application bags', 'everything', 'as it was'] as const]
      : meanwhile),
    ...changedSince(then, fleet, 'leader-elected; ').filter(([place]) => !place.includes('unit bag')),
  ];
};

/** One hook of a unit, and what it wrote. */
const wroteIn = async (fleet: CharmFleet, unit: number, hook: string, when: string): Promise<readonly Row[]> => {
  for (;;) {
    const before = shownBy(fleet);
    const ran = await fleet.juju.stepOf(fleet.unitName(unit));
    if (ran === null) throw new Error(`${fleet.unitName(unit)} has no hook ${hook} to run`);
    if (ran.hook !== hook) continue;
    const rows = changedSince(before, fleet, `${when}: `);
    return rows.length === 0 ? [[`${when}: all bags`, 'everything', 'as it was']] : rows;
  }
};

const startHook = async (): Promise<readonly Row[]> => {
  await using fleet = await open(2);
  const leader = fleet.leader();
  for (const unit of [0, 1]) fleet.containerGoes(unit);
  const rows = [
    ...(await wroteIn(fleet, 1 - leader, 'start', 'a follower, nothing published')),
    ...(await wroteIn(fleet, leader, 'start', 'the leader, no container')),
  ];
  fleet.containerComes(leader);
  await fleet.settle();
  fleet.juju.restartAgent(fleet.unitName(leader));
  return [...rows, ...(await wroteIn(fleet, leader, 'start', 'the leader, again'))];
};

const pebbleReadyHook = async (): Promise<readonly Row[]> => {
  const hook = 'pgbouncer-pebble-ready';
  await using fleet = await open(2);
  const leader = fleet.leader();
  for (const unit of [0, 1]) fleet.containerGoes(unit);
  await fleet.upTo(1 - leader, 'install');
  fleet.containerComes(1 - leader);
  const early = await wroteIn(fleet, 1 - leader, hook, 'a follower, nothing published');
  fleet.relateBackend();
  await fleet.settle();
  fleet.containerComes(leader);
  return [...early, ...(await wroteIn(fleet, leader, hook, 'the leader'))];
};

const configChangedHook = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(2);
  const leader = fleet.leader();
  fleet.juju.configure(application, { pool_mode: 'transaction' });
  return [
    ...(await wroteIn(fleet, 1 - leader, 'config-changed', 'a follower')),
    ...(await wroteIn(fleet, leader, 'config-changed', 'the leader')),
  ];
};

const updateStatusHook = async (): Promise<readonly Row[]> => {
  await using fleet = await serving(1);
  const look = (when: string): Promise<readonly Row[]> => {
    fleet.juju.updateStatus(application);
    return wroteIn(fleet, 0, 'update-status', when);
  };
  const status = (when: string): Row => [`${when}: our status`, 'word', fleet.status(0).replace(/:.*/, '')];
  const rows: Row[] = [...(await look('all is well')), status('all is well')];
  fleet.postgres.away = 'connection refused';
  rows.push(...(await look('the backend is away')), status('the backend is away'));
  fleet.postgres.away = null;
  await look('');
  fleet.containerGoes(0);
  rows.push(...(await look('PgBouncer does not run')), status('PgBouncer does not run'));
  return rows;
};

const tlsCertificates = async (): Promise<readonly Row[]> => {
  await using fleet = await open(1);
  fleet.relateBackend();
  fleet.relateClient('orders');
  await fleet.settle();
  const before = shownBy(fleet);
  const relation = fleet.relateAuthority(first.certificate, authority);
  await fleet.upTo(0, 'certificates-relation-created');
  const asked = changedSince(before, fleet, 'related; ').filter(([place]) => !place.includes(peers));
  await fleet.settle();
  const key = Buffer.from(first.key).toString('base64');
  await fleet.juju.runAction(fleet.unitName(0), 'set-tls-private-key', { 'private-key': key });
  const then = shownBy(fleet);
  await fleet.settle();
  const answer: readonly Row[] = Object.entries(fleet.juju.bag(relation, 'authority')).map(([name, value]) => [
    'answered; certificates: bag of the provider',
    name,
    shown(fleet, name, value),
  ]);
  const served = changedSince(then, fleet, 'answered; ').filter(([place]) => !place.includes(peers));
  const kept = without(fleet, ...certificateKeys);
  fleet.juju.removeRelation(relation);
  const last = shownBy(fleet);
  await fleet.settle();
  const removed = changedSince(last, fleet, 'relation removed; ').filter(([place]) => !place.includes(peers));
  const labels = [...fleet.juju.secrets.values()].map(({ label }) => label);
  const left: Row = [
    'relation removed; secret troupe-certificate',
    'all',
    labels.includes('troupe-certificate') ? 'kept' : none,
  ];
  return [...asked, ...answer, ...served, ...kept, ...removed, left];
};

export const flowCharts = {
  'charm-startup.md': startup,
  'config-updates.md': configUpdates,
  'leader-updates.md': leaderUpdates,
  'start-hook.md': startHook,
  'pebble-ready-hook.md': pebbleReadyHook,
  'config-changed-hook.md': configChangedHook,
  'update-status-hook.md': updateStatusHook,
  'tls-certificates.md': tlsCertificates,
  'peer-data.md': peerData,
} as const satisfies Record<string, () => Promise<Chart['rows']>>;
