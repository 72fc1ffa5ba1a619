/**
 * Every wait there is, in the order of the page `docs/waits.md`, which `npm run words` writes from here.
 *
 * One block is one sentence; several may share an id, when one thing is lacking for different reasons. A new wait is a new block:
 * choose `blocked` when a person must act, give an example as it comes in practice, say in `remedy` what to type.
 */
import type { BudgetKey, UnitName } from './ids.ts';
import { saying } from './waits.ts';

interface BackendReason {
  readonly name: string;
  readonly reason: string;
}
interface Unserving {
  readonly id: number;
  readonly state: string;
}
interface Holder {
  readonly unit: UnitName;
  /** Null: it had no limit. */
  readonly held: number | null;
  readonly granted: number;
  readonly isLive: boolean;
  readonly isCurrent: boolean;
}
interface ClientOfBackend {
  readonly name: string;
  readonly backend: string;
}

const here = 'pgbouncer/0' as UnitName;
const andOthers = (others: number): string => (others === 0 ? '' : ` (and ${others} other entries)`);

export const lack = {
  // The store, and who leads.

  backplaneUnreachable: saying({
    id: 'backplane',
    kind: 'waiting',
    on: 'backplane',
    what: 'the backplane is unreachable',
    why: ({ reason }) => reason,
    way: ({ self }) => `${self} keeps serving its last good generation, changes wait until the store answers`,
    example: {
      self: here,
      reason: 'cannot read as pgbouncer/0: no connection to redis://10.0.0.5:6379 (ECONNREFUSED)',
    },
    happens:
      'The store does not answer this unit: it is stopped, overloaded, full, or the network between them is cut. PgBouncers do not need it: clients notice nothing.',
    remedy:
      'Start the store, or mend the network. When only one unit says this, look at that machine; when all do, look at the store (`redis-cli -h HOST ping`). Nothing needs to be done on the units afterwards.',
  }),

  backplaneRefused: saying({
    id: 'backplane-refused',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} is not let into the backplane`,
    why: ({ reason }) => reason,
    way: 'it tries again by itself, and serves its last good generation meanwhile',
    example: {
      self: here,
      reason:
        'the secrets of pgbouncer are sealed with key 1f0c, and this unit has key 77ab: give this unit the secret key file of the other units',
    },
    happens:
      'The store answers and this unit must not take part: another process runs under its name, its secret key is not that of the other units, or the store holds data of another version of Troupe.',
    remedy:
      'Do what the sentence says: stop the second process or start it with another `--unit`, or give the unit the `--secret-key-file` of the others. When it names a format, upgrade that unit.',
  }),

  observeOnly: saying<{
    readonly self: UnitName;
    readonly defects: readonly { readonly incident: string; readonly where: string; readonly message: string }[];
    readonly until: string;
    readonly pid: number;
  }>({
    id: 'observe-only',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} only observes`,
    why: ({ defects }) =>
      `${defects.length} defects of Troupe within a minute (incidents ${defects.map(({ incident }) => incident).join(', ')}; the last in ${defects.at(-1)?.where ?? 'no actor'}: ${defects.at(-1)?.message ?? ''})`,
    way: ({ until, pid }) =>
      `its PgBouncers serve as they are; report the incidents with its log, or go to another version; it tries again after ${until}, or at once after "kill -HUP ${pid}"`,
    example: {
      self: here,
      defects: [
        { incident: '5f1c0a77', where: 'config', message: 'Invalid array length' },
        { incident: '09be41d2', where: 'config', message: 'Invalid array length' },
        { incident: 'c3d2e410', where: 'config', message: 'Invalid array length' },
      ],
      until: '2026-03-01T03:14:00.000Z',
      pid: 4711,
    },
    happens:
      'The third defect within a minute: something that the unit reads, from the store or from its own directory, meets a fault in the code. It keeps its number, beats, tells its peers so, and answers `status`, `show-unit` and the probes. It does not lead, takes no change, looks at no backend, and neither reloads, restarts nor starts a PgBouncer.',
    remedy:
      'Look for the incidents in the log of the unit (`"incident":"5f1c0a77"`): the line has the stack, which belongs into a report. When it began with a change, take that back through another unit; when it began with an upgrade, go back. Then `kill -HUP PID`, or a restart of the coordinator by your supervisor with that signal, tries again without touching a client. SIGTERM stops the PgBouncers too, as always.',
  }),

  leader: saying({
    id: 'leader',
    kind: 'waiting',
    on: 'units',
    what: 'no unit leads',
    why: 'the lease ran out or was handed over',
    way: 'one of the live units takes it within seconds, changes wait until then',
    example: {},
    happens:
      'The unit that led has stopped or died. Another one takes over when the lease has run out (`--lease-ttl`, 5 s unless set).',
    remedy:
      'Nothing. When it lasts longer than a minute, look at the other waits: without the store nobody can lead (`backplane`), and a unit that is not let in cannot either (`backplane-refused`).',
  }),

  // What the leader needs before it publishes.

  intent: saying({
    id: 'intent',
    kind: 'waiting',
    on: 'backplane',
    what: 'the intent is not known yet',
    why: 'this unit has not read it from the backplane since it started',
    way: 'it does so as soon as the store answers',
    example: {},
    happens: 'A unit has just started, or started while the store is away.',
    remedy: 'Nothing, unless the unit also says `backplane`: then see there.',
  }),

  clients: saying({
    id: 'clients',
    kind: 'waiting',
    on: 'leader',
    what: 'the client relations are not known yet',
    why: 'the leader has just begun to lead and reads them',
    way: 'it publishes nothing before',
    example: {},
    happens: 'For a moment after a unit became the leader.',
    remedy: 'Nothing.',
  }),

  backendFacts: saying<{ readonly names: readonly string[] }>({
    id: 'backend-facts',
    kind: 'waiting',
    on: ({ names }) => (names.length === 0 ? 'leader' : names.map((name) => `backend:${name}`).join(', ')),
    what: ({ names }) => (names.length === 0 ? 'no backend has been looked at' : `no facts yet about ${listed(names)}`),
    why: 'the leader has just begun to lead, or the backend is new',
    way: 'it publishes nothing before it has looked once at each',
    example: { names: ['main'] },
    happens:
      'The leader has not yet heard whether a backend is there. An answer "it is away" is enough; only a look that has not ended keeps it waiting.',
    remedy: 'Nothing. When it lasts, see the wait `backend:<name>` of that backend.',
  }),

  budget: saying({
    id: 'budget',
    kind: 'blocked',
    on: 'operator',
    what: 'no fleet spec fits the options and the units there are',
    why: ({ reason }) => reason,
    way: 'the fleet stays on the published generation until then',
    example: {
      reason:
        'max_db_connections=3 is too small for 4 instances on 2 units, each needs at least one connection: set it to 4 or more, to 0 for no limit, or run fewer instances',
    },
    happens:
      'Units were added, and the budget of connections has no longer one for each instance. A share below one cannot be written: PgBouncer takes 0 for "no limit".',
    remedy:
      '`troupe config max_db_connections=N` with the number named, or take units away. The PgBouncers keep serving what was published before the unit came.',
  }),

  budgetRoom: saying<{ readonly units: readonly UnitName[]; readonly reason: string }>({
    id: 'budget',
    kind: 'blocked',
    on: 'operator',
    what: ({ units }) => `there is no share of the connections for ${listed(units)}`,
    why: ({ reason }) => reason,
    way: 'the other units go on as before, and take changes',
    example: {
      units: ['pgbouncer/3' as UnitName],
      reason:
        'max_db_connections=6 is too small for 8 instances on 4 units, each needs at least one connection: set it to 8 or more, to 0 for no limit, or run fewer instances',
    },
    happens:
      'A unit joined, or started again with more instances, and a budget has no longer one connection for each instance. Units that have a share keep it; the new one starts nothing, or no more instances than it had.',
    remedy:
      '`troupe config max_db_connections=N` with the number named (or a larger `budget` of the client it names), or take the unit away.',
  }),

  budgetRoomHere: saying<{
    readonly self: UnitName;
    readonly of: BudgetKey['of'];
    readonly name: string;
    readonly maxConnections: number;
    readonly taken: number;
    readonly needed: number;
  }>({
    id: 'budget-share',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} serves nothing`,
    why: ({ of, name, maxConnections, taken }) =>
      `the ${maxConnections} connections of ${of} ${name} are shared by ${taken} instances of other units, and each of its own needs at least one`,
    way: ({ needed }) => `make it ${needed} or more, or 0 for no limit, or run fewer instances`,
    example: { self: here, of: 'database', name: 'orders', maxConnections: 6, taken: 6, needed: 8 },
    happens:
      'This unit joined a fleet whose budget has no room for its instances. It runs no PgBouncer and is not ready, so no load balancer sends clients to it.',
    remedy:
      '`troupe config max_db_connections=N` with the number named (for a login: a larger `budget` of its client), or stop this unit.',
  }),

  budgetShare: saying<{ readonly self: UnitName; readonly unserved: readonly BudgetKey[] }>({
    id: 'budget-share',
    kind: 'waiting',
    on: 'leader',
    what: ({ self, unserved }) =>
      `${self} does not serve ${listed(unserved.map(({ of, name }) => `${of} ${name}`))} yet`,
    why: 'other units still hold the connections that are to be its share',
    way: 'the leader gives them out when the others have closed theirs, and says whom it waits for',
    example: { self: here, unserved: [{ of: 'database', name: 'orders' }] },
    happens:
      'This unit has just joined. Shares shrink everywhere before any grows, so that the fleet never holds more than its budget. It takes about a second; in session mode it takes as long as clients keep their sessions.',
    remedy:
      'Nothing for some seconds. When it lasts, see the wait `budget:<of>:<name>` of the leader: it names who holds how many.',
  }),

  budgetMoves: saying<BudgetKey & { readonly late: readonly Holder[] }>({
    id: 'budget:<of>:<name>',
    kind: 'waiting',
    on: ({ late }) => late.map(({ unit }) => unit).join(', '),
    what: ({ of, name }) => `shares of ${of} ${name} are moving`,
    why: ({ late }) =>
      late
        .map(
          ({ unit, held, granted }) =>
            `${unit} may hold ${held === null ? 'any number' : held} and is to have ${granted}`,
        )
        .join(', '),
    way: ({ late }) =>
      late.some(({ isLive }) => !isLive)
        ? 'who is to have more waits until a unit that is not heard is back, or removed'
        : late.some(({ isCurrent }) => !isCurrent)
          ? 'who is to have more waits until all have taken the newest generation'
          : 'who is to have more waits until clients give them back, in session mode when they end their sessions',
    example: {
      of: 'database',
      name: 'orders',
      late: [{ unit: 'pgbouncer/1' as UnitName, held: 19, granted: 15, isLive: true, isCurrent: true }],
    },
    happens:
      'A unit joined or left, or a budget was changed. Units that are to have less give it up first; what is free after ten seconds is given out all the same. A unit that is down or silent keeps its share until it is back, is removed, or its departure grace has passed.',
    remedy:
      'Nothing for some seconds. A unit that is not heard: start it again, or `troupe remove-unit`. One that has not taken the newest generation: see its own waits. In session mode: end long sessions, or wait for them.',
  }),

  intentRefused: saying<{ readonly version: number; readonly reason: string; readonly good: number | null }>({
    id: 'intent-refused',
    kind: 'blocked',
    on: 'operator',
    what: ({ version }) => `version ${version} of the intent is not in force`,
    why: ({ reason }) => `refused by ${reason}`,
    way: ({ good }) =>
      `the fleet stays on ${good === null ? 'what it serves' : `generation ${good}`} until the options are changed again`,
    example: {
      version: 12,
      reason: 'pgbouncer/1: PgBouncer says: invalid value "x" for parameter server_check_query (pgbouncer.ini:14)',
      good: 7,
    },
    happens:
      'A unit could not prove the generation made from the newest change: its PgBouncer refused the rendered file. The whole fleet keeps the options of the last good generation.',
    remedy:
      'Change the option back or to a valid value: `troupe config KEY=VALUE` or `troupe config --reset KEY`. The unit that refused is named; when it runs an older PgBouncer than the others, upgrade that one.',
  }),

  // This unit and its PgBouncers.

  workload: saying({
    id: 'workload',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} cannot look after its instances`,
    why: ({ reason }) => reason,
    way: 'it tries again by itself, instances that run are left as they are',
    example: {
      self: here,
      reason: 'cannot use /var/lib/troupe/pgbouncer-0: ENOSPC: no space left on device, write',
    },
    happens:
      'A file or a directory of the unit cannot be used: the disk is full or read-only, rights are missing, a path is too long for a socket.',
    remedy:
      'Mend what the system says about the path named (`df -h`, `ls -ld`, `mount`). The unit goes on by itself within seconds.',
  }),

  workloadAway: saying({
    id: 'workload',
    kind: 'waiting',
    on: 'workload',
    what: ({ self }) => `${self} does not reach its instances`,
    why: ({ reason }) => reason,
    way: 'it looks after them as soon as their container is there',
    example: {
      self: here,
      reason:
        'cannot use Pebble: Pebble does not answer at /charm/containers/pgbouncer/pebble.socket: there is no such socket yet',
    },
    happens:
      'As a charm: the container of PgBouncer is not there yet, its image is being fetched for one, or it starts again.',
    remedy:
      'Nothing: Juju tells the unit when the container is there. When it lasts, see why the pod does not come up (`kubectl -n MODEL describe pod APPLICATION-N`).',
  }),

  pgbouncer: saying({
    id: 'pgbouncer',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} has no PgBouncer that it could run`,
    why: ({ reason }) => reason,
    way: 'it starts its instances by itself once there is one',
    example: {
      self: here,
      reason:
        'there is no PgBouncer at "pgbouncer": install it, on Debian and Ubuntu with "apt-get install pgbouncer", or name another program',
    },
    happens: 'The program is not installed, is not PgBouncer, cannot be executed, or the unit runs as root.',
    remedy:
      '`apt-get install pgbouncer` on that machine, or start the unit with `--pgbouncer PATH`. Instances that run already go on serving.',
  }),

  pgbouncerTooOld: saying({
    id: 'pgbouncer-version',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `the PgBouncer of ${self} is too old`,
    why: ({ reason }) => reason,
    way: 'install a newer one, or name another program (TROUPE_PGBOUNCER); it starts its instances by itself then',
    example: { self: here, reason: '"/usr/sbin/pgbouncer" is PgBouncer 1.16.1, and a unit needs 1.18 or newer' },
    happens:
      'The program answers and is older than what this version of Troupe is tested with: it would load files half way without saying so.',
    remedy:
      'Install a newer PgBouncer on that machine (apt.postgresql.org has one for older distributions), or start the unit with `--pgbouncer PATH`. Instances that run already go on serving.',
  }),

  address: saying({
    id: 'address',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} does not have its address to itself`,
    why: ({ reason }) => reason,
    way: 'stop that, give this unit another address (TROUPE_LISTEN_ADDRESS) or the fleet another port (troupe config listen_port=…)',
    example: { self: here, reason: '10.0.0.7:6432 is held by process 812 (pgbouncer /etc/pgbouncer/pgbouncer.ini)' },
    happens:
      'Another program listens where this unit should: a PgBouncer of the distribution that was never switched off, another unit of the same machine with the same address, anything else. When it shares the address (`so_reuseport`), a part of the clients reaches it instead of this unit.',
    remedy:
      'Look at the process named (`ss -ltnp` shows who listens) and stop it (`systemctl disable --now pgbouncer`), or give this unit or the fleet another place. It heals by itself within a few seconds after the address is free.',
  }),

  listenAddress: saying({
    id: 'listen-address',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} cannot listen where it should`,
    why: ({ reason }) => reason,
    way: 'give this machine that address, or this unit another one (TROUPE_LISTEN_ADDRESS)',
    example: { self: here, reason: 'cannot start instance 1: this machine has no address 10.0.0.77' },
    happens: 'The address that the unit was started with is not on this machine, or its name cannot be looked up.',
    remedy:
      'Compare `--listen-address` with `ip addr`. It heals by itself within a few seconds after the machine has the address.',
  }),

  disk: saying({
    id: 'disk',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} has no space left to write`,
    why: ({ reason }) => reason,
    way: 'free some: its instances serve what they have, and changes wait until then',
    example: { self: here, reason: 'only 12 KiB are left on the file system of "/var/lib/troupe/pgbouncer-0"' },
    happens: 'The file system of the state directory is full, or a quota is used up.',
    remedy: 'Free some space (`df -h`, `df -i`). It heals by itself within a few seconds.',
  }),

  files: saying({
    id: 'files',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} cannot use its files`,
    why: ({ reason }) => reason,
    way: 'mend that: its instances serve what they have, and changes wait until then',
    example: {
      self: here,
      reason:
        'the file system of "/var/lib/troupe/pgbouncer-0" is read-only (EROFS: read-only file system, access \'/var/lib/troupe/pgbouncer-0\')',
    },
    happens:
      'The state directory or the run directory has become read-only, belongs to somebody else, or something that is no file of the unit lies where one of its files should.',
    remedy:
      'Do what the sentence says about the path it names (`ls -ld`, `mount`): give the directory back to the account of the unit, mount it for writing, remove what lies in the way. It heals by itself within a few seconds.',
  }),

  descriptors: saying({
    id: 'descriptors',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `new clients of ${self} hang`,
    why: ({ reason }) => reason,
    way: 'raise the limit (LimitNOFILE= of a service, --ulimit nofile= of a container) and restart it, or lower max_client_conn',
    example: { self: here, reason: 'instance 1 (process 812) has used up its 1024 file descriptors' },
    happens:
      'An instance has as many files and connections open as the system lets it. It takes no new client for five seconds each time; who is connected notices nothing. `few-descriptors` among the remarks says beforehand that it can come to this.',
    remedy:
      'Raise the limit for the service or the container and restart the unit, or lower `max_client_conn`. It heals by itself when clients leave.',
  }),

  crashes: saying({
    id: 'crashes',
    kind: 'waiting',
    on: ({ self }) => self,
    what: ({ self }) => `instances of ${self} end again and again`,
    why: ({ reason }) => reason,
    way: 'this unit starts them again, with a rest of up to 1.5 s in between',
    example: { self: here, reason: 'instance 1 ended 4 times within 10 s (the last time it was ended by SIGKILL)' },
    happens: 'A PgBouncer ends soon after it was started, several times within ten seconds.',
    remedy: 'Nothing yet: when it goes on it says `blocked`.',
  }),

  crashLoop: saying({
    id: 'crashes',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `instances of ${self} end again and again`,
    why: ({ reason }) => reason,
    way: "find out who ends them, or why they end (the instance's log in the state directory): this unit goes on starting them, with a rest of up to 1.5 s in between",
    example: { self: here, reason: 'instance 1 ended 7 times within 10 s (the last time it ended with exit code 1)' },
    happens:
      'The same for longer: something kills the process (the kernel for want of memory, a supervisor that takes it for its own, a person), or PgBouncer crashes.',
    remedy:
      'The kernel log (`dmesg`) names what it killed for want of memory; the log of the instance in the state directory has the last words of one that crashed. It heals by itself within 5 s after that has ended.',
  }),

  fleetSpec: saying({
    id: 'fleet-spec',
    kind: 'waiting',
    on: 'leader',
    what: ({ self }) => `no fleet spec counts ${self} in yet`,
    why: 'the leader has published none since this unit joined',
    way: 'its instances start when it has',
    example: { self: here },
    happens: 'The unit is new to the fleet, or the whole fleet is, and the leader has not published yet.',
    remedy:
      'Nothing for some seconds. When it lasts, see what the leader waits for: `troupe status` marks it with `*`, and `budget`, `clients`, `backend-facts` and `intent` are its waits.',
  }),

  proof: saying({
    id: 'proof',
    kind: 'blocked',
    on: 'operator',
    what: ({ self, generation }) => `generation ${generation} is not applied on ${self}`,
    why: ({ reason }) => `it does not prove here, ${reason}`,
    way: 'the unit serves the last good one: change the options again, or give this unit the PgBouncer of the others',
    example: {
      self: here,
      generation: 8,
      reason: 'PgBouncer says: invalid value "x" for parameter server_check_query in configuration (pgbouncer.ini:14)',
    },
    happens:
      'PgBouncer of this unit was asked about the rendered files before they are put in place, and refused them. Nothing was changed on this unit.',
    remedy:
      'See `intent-refused`, which the leader says at the same time. When the other units took the generation, compare the versions of PgBouncer in `troupe status`.',
  }),

  instancesAbsent: saying<{ readonly self: UnitName; readonly instances: readonly Unserving[] }>({
    id: 'instances',
    kind: 'waiting',
    on: ({ self }) => self,
    what: ({ self, instances }) =>
      `${listed(instances.map(({ id, state }) => `instance ${id} (${state})`))} of ${self} ${instances.length === 1 ? 'does' : 'do'} not serve yet`,
    why: 'it has just begun, or a process has ended',
    way: 'this unit starts what does not run',
    example: {
      self: here,
      instances: [{ id: 2, state: 'absent' }],
    },
    happens: 'The unit starts, or one of its PgBouncers has ended or hangs and is being replaced.',
    remedy: 'Nothing. If it keeps coming back, the log of the instance in the state directory says why it ends.',
  }),

  instancesFailing: saying({
    id: 'instances',
    kind: 'waiting',
    on: ({ self }) => self,
    what: ({ self }) => `a step on the instances of ${self} failed`,
    why: ({ reason }) => reason,
    way: 'this unit tries again in a moment',
    example: { self: here, reason: 'the console of instance 2 does not answer: no answer within 2000 ms' },
    happens: 'Starting, reloading or checking an instance went wrong once or twice. That may be bad luck.',
    remedy: 'Nothing yet: after the third time in a row it says `blocked`.',
  }),

  instancesBroken: saying({
    id: 'instances',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `instances of ${self} do not come to serve`,
    why: ({ reason }) => reason,
    way: 'mend that, this unit goes on trying every few seconds',
    example: {
      self: here,
      reason: 'cannot start instance 1: its console does not answer within 10000 ms',
    },
    happens: 'The same step failed three times running: the process ends at once, its console does not answer.',
    remedy:
      'Do what the sentence says about the address, file or process it names (`ss -ltnp` shows who listens). PgBouncer’s own log is in the state directory of the unit. It heals by itself within a few seconds after the cause is gone.',
  }),

  tls: saying({
    id: 'tls',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `${self} cannot use the certificate for its clients as it is`,
    why: ({ reason }) => reason,
    way: 'clients are served with the one before, or without TLS when there was none, until that is right',
    example: {
      self: here,
      reason:
        '/etc/troupe/tls.key: it is no private key in PEM, without a passphrase, that belongs to /etc/troupe/tls.crt',
    },
    happens:
      'Clients of this unit are to be served with TLS, and certificate, key and authority do not belong together, cannot be read, are refused by PgBouncer, or have ended.',
    remedy:
      'Put the certificate (with those between it and its authority), its key, readable by the account of the unit and not by everybody, and the authority there, in PEM. Standalone they are the files of `--tls-certificate-file`, `--tls-key-file` and `--tls-ca-file`; they are read again within seconds, and no client is lost. Under Juju they come from the relation `certificates`.',
  }),

  certificate: saying<{ readonly self: UnitName; readonly reason: string }>({
    id: 'tls-certificate',
    kind: 'waiting',
    on: 'certificates',
    what: ({ self }) => `${self} lacks a certificate that it asked for`,
    why: ({ reason }) => reason,
    way: 'clients are served with the one before, or without TLS when there was none, until another one comes',
    example: { self: here, reason: 'the provider has not answered the request yet' },
    happens:
      'As a charm: the relation `certificates` is new, or what it brought cannot be served, or the request was turned down.',
    remedy:
      'Nothing for a minute. Then see the status of the charm that signs. `juju run UNIT set-tls-private-key` asks anew, with a new key.',
  }),

  // The API of this unit on TCP.

  apiTokens: saying({
    id: 'api-tokens',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `the API of ${self} does not take its changed token file`,
    why: ({ reason }) => reason,
    way: 'the tokens it held before stay in use until the file is right',
    example: { self: here, reason: '/etc/troupe/tokens: line 2 must begin with a scope: read, operate, secrets' },
    happens:
      'The file of `--api-token-file` was changed while the unit runs, and what it holds now is no list of tokens, or everybody may read it, or it is gone.',
    remedy:
      'Write the file as the sentence says: `SCOPE TOKEN` a line, mode 0640 or less, readable by the account of the unit. It is read again within seconds. Until then a token that you meant to take away still works.',
  }),

  apiCertificate: saying({
    id: 'api-certificate',
    kind: 'blocked',
    on: 'operator',
    what: ({ self }) => `the API of ${self} does not take its changed certificate`,
    why: ({ reason }) => reason,
    way: 'the certificate it had before stays in use until the files are right',
    example: {
      self: here,
      reason: '/etc/troupe/api.key: everybody may read it: close it with "chmod o= /etc/troupe/api.key"',
    },
    happens:
      'The files of `--api-cert-file` and `--api-key-file` were changed while the unit runs, and they are no certificate and key that belong together.',
    remedy:
      'Put both files of the same certificate there, the key readable by the account of the unit and not by everybody. They are read again within seconds.',
  }),

  // Backends: one set of ids for each, with its name in it.

  backendMissing: saying<{ readonly application: string }>({
    id: 'backend',
    kind: 'blocked',
    on: 'operator',
    what: ({ application }) => `${application} has no PostgreSQL to lead clients to`,
    why: 'nothing is related to backend-database',
    way: ({ application }) => `juju integrate ${application}:backend-database POSTGRESQL`,
    example: { application: 'pgbouncer-k8s' },
    happens: 'As a charm: nobody has related a PostgreSQL yet, or the relation was removed.',
    remedy:
      '`juju integrate` with a charm that provides `postgresql_client`. Clients that are related already are served as soon as it has answered.',
  }),

  backendUnanswered: saying<{ readonly reason: string }>({
    id: 'backend',
    kind: 'waiting',
    on: 'backend:main',
    what: 'the PostgreSQL that is related has not told how to reach it',
    why: ({ reason }) => reason,
    way: 'its charm does so by itself, see what it lacks in `juju status`',
    example: { reason: 'waiting for backend database relation to initialise' },
    happens: 'As a charm: the relation is there, and the other side has not made the login that was asked for.',
    remedy: 'Nothing for some minutes. Then see the status of the charm of PostgreSQL.',
  }),

  backendOffer: saying<{ readonly reason: string }>({
    id: 'backend',
    kind: 'blocked',
    on: 'operator',
    what: 'the PostgreSQL that is related cannot be used',
    why: ({ reason }) => reason,
    way: 'what was served goes on being served as it was',
    example: {
      reason:
        'the backend database of relation backend-database:3 told what cannot be used: the password is empty: give the one that PostgreSQL has for this login; see to the charm there',
    },
    happens: 'As a charm: what the other side wrote into the relation is nothing that could be connected to.',
    remedy: 'Update the charm of PostgreSQL, or relate another one.',
  }),

  clientRequest: saying<{ readonly name: string; readonly reason: string }>({
    id: 'client:<name>:request',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `not all that client "${name}" asks for is served`,
    why: ({ reason }) => reason,
    way: 'the other clients are served',
    example: {
      name: 'orders',
      reason:
        'relation database:7 asks for what is not served: role "superuser" is not given to clients, extra-user-roles may be createdb and createrole; remove the relation, and relate again with what is served',
    },
    happens: 'As a charm: an application asks over its relation for something that is not handed out.',
    remedy: 'What the sentence says. A charm that speaks the second version of the interface is told the same.',
  }),

  backendUnlooked: saying({
    id: 'backend:<name>',
    kind: 'waiting',
    on: 'workload',
    what: ({ name }) => `backend "${name}" has not been looked at`,
    why: 'PgBouncer cannot run on this unit',
    way: 'the unit looks when it can',
    example: { name: 'main' },
    happens: 'The unit has something to settle with its own PgBouncers first.',
    remedy: 'See the waits `workload`, `pgbouncer` and `instances` of the same unit.',
  }),

  backendLooking: saying({
    id: 'backend:<name>',
    kind: 'waiting',
    on: ({ name }) => `backend:${name}`,
    what: ({ name }) => `backend "${name}" is being looked at`,
    why: 'it is new to this unit, or was changed',
    way: 'its servers answer, or the look ends within seconds',
    example: { name: 'main' },
    happens: 'The first look at a backend after the unit started or after the backend was changed.',
    remedy: 'Nothing.',
  }),

  backendAway: saying<BackendReason>({
    id: 'backend:<name>',
    kind: 'blocked',
    on: ({ name }) => `backend:${name}`,
    what: ({ name }) => `backend "${name}" is away`,
    why: ({ reason }) => reason,
    way: 'bring its primary back or correct its endpoints, it is looked at again by itself',
    example: {
      name: 'main',
      reason: 'no primary within reach: db1:5432: connect ECONNREFUSED 10.0.0.9:5432',
    },
    happens:
      'No server among the endpoints can be reached and takes writes. PgBouncers keep their configuration: clients wait in PgBouncer for `query_wait_timeout`, and go on when the server is back.',
    remedy:
      'Start PostgreSQL, promote a standby, or mend the network. When the servers have moved: `troupe integrate backend NAME --endpoints HOST:PORT,… --username USER --password-file FILE`; the units of a charm are told by the charm of PostgreSQL, and look again at their next hook.',
  }),

  backendUnfit: saying<BackendReason>({
    id: 'backend:<name>',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `backend "${name}" cannot be used`,
    why: ({ reason }) => reason,
    way: 'mend that, it is looked at again by itself',
    example: {
      name: 'main',
      reason: 'login "troupe" lacks CREATEROLE; as a superuser run ALTER ROLE "troupe" CREATEROLE',
    },
    happens:
      'Its servers answer, and something about them needs a person: a wrong password, a missing right, two primaries, servers of different clusters, a PostgreSQL that is too old.',
    remedy:
      'Do what the sentence says; what PostgreSQL itself said is quoted. A wrong password is corrected with `troupe integrate backend NAME …` and a new password file. Clients that were served before go on being served.',
  }),

  backendFence: saying<BackendReason>({
    id: 'backend:<name>:fence',
    kind: 'waiting',
    on: ({ name }) => `backend:${name}`,
    what: ({ name }) => `the leader has not raised its fence on backend "${name}"`,
    why: ({ reason }) => reason,
    way: 'it tries again in a moment, clients that are served go on',
    example: { name: 'main', reason: 'cannot raise the fence on db1:5432: no answer in time' },
    happens:
      'A new leader marks itself in the maintenance database before it changes anything there, so that an earlier one cannot any more. PostgreSQL did not answer.',
    remedy: 'Nothing, unless `backend:<name>` says what is wrong with the backend.',
  }),

  backendFenceRefused: saying<BackendReason>({
    id: 'backend:<name>:fence',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `the leader cannot raise its fence on backend "${name}"`,
    why: ({ reason }) => reason,
    way: 'mend that there, no client can be added or removed on this backend until then',
    example: {
      name: 'main',
      reason: 'cannot raise the fence on db1:5432: PostgreSQL says: permission denied for database postgres (42501)',
    },
    happens: 'PostgreSQL refuses what a leader does first: a schema and a table in the maintenance database.',
    remedy:
      'Give the login of the backend the right that PostgreSQL names, or name another maintenance database with `troupe integrate backend NAME … --maintenance-database DATABASE`.',
  }),

  backendReadOnly: saying<{ readonly name: string; readonly primary: string }>({
    id: 'backend:<name>:read-only',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `backend "${name}" is read-only`,
    why: ({ primary }) => `default_transaction_read_only is on at its primary ${primary}`,
    way: 'clients read and cannot write until somebody runs there ALTER SYSTEM RESET default_transaction_read_only and SELECT pg_reload_conf()',
    example: { name: 'main', primary: 'db1:5432' },
    happens: 'Somebody, or a guard against a full disk, has set the whole server read-only.',
    remedy:
      'Find out who set it and why, then reset it. When it stands in postgresql.conf and not in postgresql.auto.conf, change it there. PgBouncers need nothing.',
  }),

  backendFull: saying<{ readonly name: string; readonly primary: string; readonly maxConnections: number }>({
    id: 'backend:<name>:connections',
    kind: 'waiting',
    on: ({ name }) => `backend:${name}`,
    what: ({ name }) => `backend "${name}" takes no further connections`,
    why: ({ primary, maxConnections }) => `all of the ${maxConnections} at its primary ${primary} are taken`,
    way: 'end sessions there that are not of PgBouncer, lower max_db_connections, or raise max_connections',
    example: { name: 'main', primary: 'db1:5432', maxConnections: 100 },
    happens:
      'PostgreSQL has no room for another session of an ordinary login. PgBouncers go on with the server connections they have; clients that need another one wait, or are told what PostgreSQL says.',
    remedy:
      '`select datname, usename, application_name, count(*) from pg_stat_activity group by 1, 2, 3 order by 4 desc` shows whose they are. The budget of each database (`troupe config max_db_connections`), added up over the databases, should leave room for everybody else.',
  }),

  // Clients: one set of ids for each, said by the leader.

  clientBackend: saying<ClientOfBackend & { readonly reason: string | null }>({
    id: 'client:<name>:backend',
    kind: 'waiting',
    on: ({ backend }) => `backend:${backend}`,
    what: ({ name }) => `client "${name}" has no login yet`,
    why: ({ backend, reason }) => `backend "${backend}" is not ready${reason === null ? '' : ` (${reason})`}`,
    way: 'the leader makes it as soon as the backend is',
    example: { name: 'orders', backend: 'main', reason: null },
    happens: 'A client was added while its backend cannot be used.',
    remedy: 'See `backend:<name>`.',
  }),

  clientLost: saying<ClientOfBackend & { readonly reason: string }>({
    id: 'client:<name>:database',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `client "${name}" has lost its database`,
    why: ({ reason }) => reason,
    way: ({ name, backend }) =>
      `restore it on backend "${backend}", which is noticed within seconds, or start with an empty one: "troupe remove-relation ${name}", then integrate it again`,
    example: { name: 'orders', backend: 'main', reason: 'database "orders" is gone: somebody dropped or renamed it' },
    happens:
      'Somebody dropped or renamed the database of a client in PostgreSQL. An empty one is never made in its place, which would hide that everything in it is gone, unless the client is removed and integrated again.',
    remedy:
      'Restore the database under its name with its owner role as the owner (`CREATE DATABASE orders OWNER troupe_owner_orders`, then `pg_restore`); its rights and the settings of its logins the leader puts back by itself.',
  }),

  clientHindered: saying<ClientOfBackend & { readonly reason: string }>({
    id: 'client:<name>:database',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `client "${name}" cannot use its database as it was given it`,
    why: ({ reason }) => reason,
    way: ({ backend }) => `do that on backend "${backend}", which is noticed within seconds`,
    example: {
      name: 'orders',
      backend: 'main',
      reason:
        'database "orders" takes no connections, somebody closed it: run ALTER DATABASE "orders" ALLOW_CONNECTIONS true CONNECTION LIMIT -1 when clients may go in again',
    },
    happens:
      'Somebody changed the database or the login of a client in PostgreSQL, perhaps on purpose, in a way that the leader does not undo: the database was closed, set read-only or given to another owner, or a comment by which Troupe knows its own was overwritten. Changed attributes, passwords, memberships and rights it mends by itself.',
    remedy: 'Run the statement that the sentence names, when that is what you want.',
  }),

  clientProvision: saying<ClientOfBackend & { readonly life: 'alive' | 'dying' }>({
    id: 'client:<name>:provision',
    kind: 'waiting',
    on: ({ backend }) => `backend:${backend}`,
    what: ({ name, life }) => `client "${name}" is being ${life === 'alive' ? 'provisioned' : 'removed'}`,
    why: ({ backend, life }) =>
      `its database and login are ${life === 'alive' ? 'made' : 'given back'} on backend "${backend}"`,
    way: 'each step takes a moment',
    example: { name: 'orders', backend: 'main', life: 'alive' },
    happens: 'The leader works on the client in PostgreSQL.',
    remedy: 'Nothing. When a step fails, `client:<name>:trouble` says so.',
  }),

  clientTrouble: saying<ClientOfBackend & { readonly reason: string }>({
    id: 'client:<name>:trouble',
    kind: 'waiting',
    on: ({ backend }) => `backend:${backend}`,
    what: ({ name }) => `a step for client "${name}" was not done`,
    why: ({ reason }) => reason,
    way: 'the leader tries again in a moment',
    example: {
      name: 'orders',
      backend: 'main',
      reason: 'cannot make database "orders" on db1:5432: no answer in time',
    },
    happens:
      'PostgreSQL did not answer a step, or answered that it may succeed later (out of connections, a lock held).',
    remedy: 'Nothing, unless it lasts: then do what PostgreSQL says.',
  }),

  clientRefused: saying<ClientOfBackend & { readonly reason: string }>({
    id: 'client:<name>:trouble',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `a step for client "${name}" is refused`,
    why: ({ reason }) => reason,
    way: ({ backend }) => `mend that on backend "${backend}", the leader tries again by itself`,
    example: {
      name: 'orders',
      backend: 'main',
      reason:
        'cannot make database "orders" on db1:5432: PostgreSQL says: permission denied to create database (42501)',
    },
    happens: 'PostgreSQL refuses to make or drop the database or the login of the client.',
    remedy:
      'Do what the sentence says there. Or take the wish back: `troupe remove-relation CLIENT`. Other clients are not affected.',
  }),

  clientUnkept: saying({
    id: 'client:<name>:record',
    kind: 'waiting',
    on: 'backplane',
    what: ({ name }) => `what was done for client "${name}" is not kept yet`,
    why: ({ reason }) => reason,
    way: 'the leader writes it again in a moment',
    example: { name: 'orders', reason: 'the store did not answer' },
    happens: 'The leader has done a step for the client and could not write that down in the store.',
    remedy: 'Nothing, unless `backplane` says that the store is away.',
  }),

  clientFleetSpec: saying({
    id: 'client:<name>:fleet-spec',
    kind: 'waiting',
    on: 'leader',
    what: ({ name }) => `client "${name}" is not served yet`,
    why: 'its login is made, and no generation has it yet',
    way: 'the leader publishes one next',
    example: { name: 'orders' },
    happens: 'For a moment between the login in PostgreSQL and the next generation.',
    remedy: 'Nothing. When it lasts, see what the leader waits for: `budget`, `intent-refused` or `backend-facts`.',
  }),

  clientUnits: saying<{ readonly name: string; readonly generation: number; readonly late: readonly string[] }>({
    id: 'client:<name>:units',
    kind: 'waiting',
    on: ({ late }) => late.join(', '),
    what: ({ name }) => `client "${name}" has no credentials yet`,
    why: ({ late, generation }) =>
      `${late.join(', ')} ${late.length === 1 ? 'does' : 'do'} not serve generation ${generation} yet`,
    way: 'it gets them when every live unit does, or soon without those that are late',
    example: { name: 'orders', generation: 8, late: ['pgbouncer/1'] },
    happens:
      'Credentials are handed out when every live unit knows them, so that no login fails at a unit that is late.',
    remedy: 'Nothing for half a minute. Then see the waits of the units named.',
  }),

  clientNowhere: saying({
    id: 'client:<name>:units',
    kind: 'waiting',
    on: 'units',
    what: ({ name }) => `client "${name}" has no credentials yet`,
    why: 'no live unit has an address to go to',
    way: 'it gets them when the first unit serves',
    example: { name: 'orders' },
    happens: 'No unit serves.',
    remedy: 'See the waits of the units.',
  }),

  clientRemoval: saying<ClientOfBackend & { readonly reason: string | null }>({
    id: 'client:<name>:removal',
    kind: 'waiting',
    on: ({ backend }) => `backend:${backend}`,
    what: ({ name }) => `the login of removed client "${name}" is still there`,
    why: ({ backend, reason }) => `backend "${backend}" is not ready${reason === null ? '' : ` (${reason})`}`,
    way: 'the leader drops it as soon as the backend is',
    example: { name: 'orders', backend: 'main', reason: null },
    happens: 'A client was removed while its backend cannot be used. PgBouncers no longer let it in.',
    remedy: 'See `backend:<name>`. When the backend is gone for good, its login went with it.',
  }),

  clientEntry: saying({
    id: 'client:<name>:intent',
    kind: 'blocked',
    on: 'operator',
    what: ({ name, others }) => `client "${name}" is not served as it is asked for now${andOthers(others)}`,
    why: ({ reason }) => reason,
    way: 'it is served as it was, and neither changed nor removed; ask for it again, or remove the relation',
    example: { name: 'orders', reason: '/database: invalid_type', others: 0 },
    happens:
      'Something else than Troupe has written into this entry of the intent. The other entries are served, changed and removed. This one keeps its login, its database and its settings as they are published.',
    remedy:
      '`troupe integrate client NAME --database D …` writes it anew: with the database and backend it had it keeps its login and password. `troupe remove-relation NAME` removes it, its login included. Find out who writes into the store.',
  }),

  backendEntry: saying({
    id: 'backend:<name>:intent',
    kind: 'blocked',
    on: 'operator',
    what: ({ name, others }) => `backend "${name}" cannot be reached as it is asked for now${andOthers(others)}`,
    why: ({ reason }) => reason,
    way: 'its databases are served from where they were; ask for it again, or remove the relation',
    example: { name: 'main', reason: '/endpoints: invalid_type', others: 0 },
    happens:
      'Something else than Troupe has written into this entry of the intent. Nobody can look at the backend, so a new primary is not found; its databases lead to the address that is published. The other backends are not touched.',
    remedy:
      '`troupe integrate backend NAME …` with its endpoints and login writes it anew. `troupe remove-relation NAME` removes it when no client is on it. Find out who writes into the store.',
  }),

  optionEntry: saying({
    id: 'option:<name>:intent',
    kind: 'blocked',
    on: 'operator',
    what: ({ name, others }) => `option ${name} cannot be what is asked for${andOthers(others)}`,
    why: ({ reason }) => reason,
    way: 'it has the value that is published, or its default; set it to another one, or reset it',
    example: { name: 'pool_mode', reason: 'pool_mode=often must be one of session, transaction, statement', others: 0 },
    happens:
      'As a charm: the option was set to a value that it cannot have. Otherwise something else than Troupe has written into this option of the intent, or an earlier version let a value be set that is none now. The published value stays; the other options can be changed.',
    remedy:
      'Set the option again, or reset it: `juju config APPLICATION NAME=VALUE`, or `troupe config NAME=VALUE` and `troupe config --reset NAME`. Without a charm, find out who writes into the store.',
  }),

  clientRecord: saying({
    id: 'client:<name>:record',
    kind: 'blocked',
    on: 'operator',
    what: ({ name, id }) => `the record of client "${name}" (rel:${id}) in the store cannot be read`,
    why: ({ reason }) => reason,
    way: 'it is served as it was, and neither changed nor removed; restore the object from a backup of the store, or delete it, then its login is made anew',
    example: { name: 'orders', id: 7, reason: 'it is not JSON' },
    happens:
      'Something else than Troupe has written into the object of one client relation, or the store lost part of it. Whether its login is to be kept or dropped cannot be told, so neither is done. The other clients are served, changed and removed.',
    remedy:
      'Look at it (`redis-cli HGETALL "bp1:{pgbouncer}:rel:7"`) and find out who writes there. A backup of the store has the old one. Without one delete it (`redis-cli DEL`) and restart the coordinator of the leader: a client that is still wanted then gets a new password, so take its connection string again; of one that was removed the login is dropped.',
  }),

  clientQuarantine: saying({
    id: 'client:<name>:quarantine',
    kind: 'blocked',
    on: 'operator',
    what: ({ name }) => `client "${name}" is quarantined`,
    why: ({ incident, defect }) => `deciding about it ended in a defect of Troupe (incident ${incident}: ${defect})`,
    way: 'the other clients are served; restart the coordinator of the leader to try again, and report the incident',
    example: { name: 'orders', incident: 'relation-3-812345', defect: 'Invalid array length' },
    happens:
      'A defect in the code was met with the data of this one client. It is left as it is: what it was given still works.',
    remedy:
      'Restart the coordinator of the leader (its PgBouncers keep running). When it comes back, remove the client and add it again, and report the sentence with `troupe show-unit LEADER --trace`.',
  }),
  // On Kubernetes: the Service that clients are given.

  kubernetesUnreachable: saying({
    id: 'kubernetes',
    kind: 'waiting',
    on: 'kubernetes',
    what: ({ what }) => `the unit cannot ${what}`,
    why: ({ reason }) => reason,
    way: 'it tries again at the next hook, and what clients were given stays as it is',
    example: {
      what: 'apply Service "pgbouncer-service"',
      reason: 'connect ECONNREFUSED 10.152.183.1:443',
    },
    happens:
      'The API server of the cluster does not answer the unit, is too busy to, or does not know yet what the unit asks for. PgBouncers do not need it: clients notice nothing.',
    remedy:
      'Nothing, as a rule: it passes. When it lasts, see whether the pods of the model reach the API server (`kubectl get --raw /readyz`), and what the sentence names (`kubectl -n MODEL get service`).',
  }),

  kubernetesForbids: saying({
    id: 'kubernetes-refused',
    kind: 'blocked',
    on: 'operator',
    what: ({ what }) => `the unit may not ${what}`,
    why: ({ reason }) => reason,
    way: ({ application }) => `allow it with "juju trust ${application} --scope=cluster"`,
    example: {
      what: 'apply Service "pgbouncer-service"',
      reason:
        'services "pgbouncer-service" is forbidden: User "system:serviceaccount:prod:pgbouncer" cannot patch resource "services" in API group "" in the namespace "prod"',
      application: 'pgbouncer',
    },
    happens:
      'The application was deployed without trust, so Kubernetes does not let it make the Service that clients are given, or does not let it see the nodes that a NodePort is reached at.',
    remedy: '`juju trust APPLICATION --scope=cluster`. The unit tries again at its next hook, within five minutes.',
  }),

  kubernetesRefuses: saying({
    id: 'kubernetes-refused',
    kind: 'blocked',
    on: 'operator',
    what: ({ what }) => `the unit cannot ${what}`,
    why: ({ reason }) => reason,
    way: 'change the option that brought it about, expose-external or loadbalancer-extra-annotations, or what the cluster allows',
    example: {
      what: 'apply Service "pgbouncer-service"',
      reason: 'Service "pgbouncer-service" is invalid: metadata.annotations: Invalid value: "a b"',
    },
    happens:
      'Kubernetes does not take the Service as the options ask for it: an annotation has a name that is none, a quota or an admission rule of the cluster does not allow its type.',
    remedy:
      'Kubernetes says in the sentence what it does not like. `juju config APPLICATION loadbalancer-extra-annotations=…` or `expose-external=…` changes what is asked for.',
  }),

  balancerAddress: saying({
    id: 'load-balancer',
    kind: 'waiting',
    on: 'kubernetes',
    what: ({ service }) => `the load balancer of Service "${service}" has no address`,
    why: 'the cluster has not given it one yet',
    way: 'clients are told how to connect once it has; nothing gives it one in a cluster without a provider of load balancers',
    example: { service: 'pgbouncer-service' },
    happens: '`expose-external` is `loadbalancer`, and the cluster has not yet said where the load balancer is.',
    remedy:
      'Nothing for a minute or two. When it lasts, look what the provider says (`kubectl -n MODEL describe service APPLICATION-service`); where there is none (as MetalLB), set `expose-external` to `nodeport` or `false`.',
  }),

  nodePort: saying({
    id: 'node-port',
    kind: 'waiting',
    on: 'kubernetes',
    what: ({ service }) => `nobody outside of the cluster can reach Service "${service}"`,
    why: 'it has no port of the nodes yet, or no node with an address runs a unit',
    way: 'clients are told how to connect once there is one',
    example: { service: 'pgbouncer-service' },
    happens: '`expose-external` is `nodeport`, and the Service was not made such yet, or no pod has a node yet.',
    remedy:
      'Nothing: the leader makes the Service, and Kubernetes gives it a port. When it lasts, look at the leader, and at the nodes of the pods (`kubectl -n MODEL get pods -o wide`).',
  }),
} as const;

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
