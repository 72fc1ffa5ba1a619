import type { ConnectedClient, PgBouncerVersion, TlsMaterial } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { isAtLeast } from '../../pgbouncer/version.ts';
import { type Console, openConsole } from '../console/console.ts';
import type { Log } from '../files/log.ts';
import type { OwnLogin } from '../instances/login.ts';
import { versionAt } from '../instances/look.ts';
import type { Patience } from '../instances/patience.ts';
import type { Reached } from '../instances/reached.ts';
import { allListeners, type Listener } from '../instances/listeners.ts';
import type { Ownership, Pebble } from './client.ts';
import { type InstancePlace, instancePlace, type Places } from './places.ts';
import { type FoundProcess, isSameProcess, processesIn } from './processes.ts';

/** What every step needs: the instances of this unit, where they live, and how long anybody is waited for. */
export interface Unit {
  readonly clock: Clock;
  readonly log: Log;
  readonly pebble: Pebble;
  readonly places: Places;
  /** As it was named, for sentences. */
  readonly binary: string;
  /** Account of the container that instances run as; null: that of Pebble, which is not root then. */
  readonly user: string | null;
  readonly listenAddress: string;
  readonly instances: readonly Instance[];
  /** For instances of an earlier life that had more of them. */
  instanceOf(id: number): Instance;
  readonly logins: Logins;
  /** With what clients are to be served that ask for TLS, as of now; null: all are served without. */
  readonly tls: () => TlsMaterial | null;
  readonly patience: Patience;
  /** How long Pebble waits before it starts again one that has ended. */
  readonly restartDelayMs: number;
  /** How often Pebble looks whether clients are taken. */
  readonly checkPeriodMs: number;
}

export interface OwnLogins {
  readonly probe: OwnLogin;
  readonly console: OwnLogin;
}
/** Made when they are asked for the first time, because Pebble may not be there before. */
export type Logins = (signal: AbortSignal) => Promise<OwnLogins>;

export const ownerOf = ({ user }: Unit): Ownership => (user === null ? {} : { user });

/** One instance, and what this coordinator saw of it. It is one-shot: what counts is what is found. */
export class Instance {
  readonly place: InstancePlace;
  /** The loopback of the pod, which it shares with the coordinator. */
  readonly consoleAddress: string;
  readonly #clock: Clock;
  #process: FoundProcess | null = null;
  #console: { readonly port: number; readonly console: Console } | null = null;
  #version: PgBouncerVersion | null = null;
  /** Ends by itself when its last client has left; its console is left alone, because a console counts as a client. */
  draining = false;
  /** The port that it listened at when it was seen last. */
  servedAt: number | null = null;
  /** As its console showed them last, by address and port. */
  clients: ReadonlyMap<string, ConnectedClient> = new Map();

  constructor(place: InstancePlace, consoleAddress: string, clock: Clock) {
    this.place = place;
    this.consoleAddress = consoleAddress;
    this.#clock = clock;
  }

  get id(): number {
    return this.place.id;
  }

  /** What is known of another process counts no more. */
  meet(process: FoundProcess | null): void {
    if (isSameProcess(this.#process, process)) return;
    this.closeConsole();
    this.#process = process;
    this.#version = null;
    this.draining = false;
    this.servedAt = null;
    this.clients = new Map();
  }

  console(port: number, login: OwnLogin): Console {
    if (this.#console !== null && this.#console.port !== port) this.closeConsole();
    this.#console ??= { port, console: this.consoleOfItsOwn(port, login) };
    return this.#console.console;
  }

  consoleOfItsOwn(port: number, { username, password }: OwnLogin): Console {
    return openConsole(this.#clock, { host: this.consoleAddress, port, username, password });
  }

  /** Null when its console does not answer. */
  async version(console: Console, withinMs: number, signal: AbortSignal): Promise<PgBouncerVersion | null> {
    this.#version ??= await versionAt(console, { withinMs, signal });
    return this.#version;
  }

  closeConsole(): void {
    this.#console?.console.close();
    this.#console = null;
  }
}

/** An instance as it was found. */
export interface Found {
  readonly instance: Instance;
  readonly process: FoundProcess | null;
  /** Where it listens at its own address: where its console is. Null: it does not, so it drains, or never began to serve. */
  readonly port: number | null;
}

export interface Survey {
  readonly instances: readonly Found[];
  /** Of an earlier life, and still running. */
  readonly surplus: readonly Found[];
  /** Of the network namespace, which the containers of a pod share. */
  readonly listeners: readonly Listener[];
}

export const surveyOf = async (unit: Unit, signal: AbortSignal): Promise<Survey> => {
  const [processes, listeners] = await Promise.all([
    processesIn(unit.pebble, unit.places, unit.user, signal),
    allListeners(),
  ]);
  const find = (instance: Instance): Found => {
    const process = processes.find((one) => one.instance === instance.id) ?? null;
    instance.meet(process);
    // Without the very address a connection to it would end at another instance that listens everywhere.
    const own = listeners.find(({ address, uid }) => address === instance.consoleAddress && uid === process?.uid);
    instance.servedAt = own?.port ?? instance.servedAt;
    return { instance, process, port: own?.port ?? null };
  };
  const instances = unit.instances.map(find);
  const others = processes.filter(({ instance: id }) => unit.instances.every((one) => one.id !== id));
  return { instances, surplus: others.map(({ instance: id }) => find(unit.instanceOf(id))), listeners };
};

/** Each of them at the shared address. Which process holds a listener only the other container could tell; how many there are says as much. */
export const areReachable = (
  { instances, surplus, listeners }: Survey,
  addresses: readonly string[],
  port: number,
): boolean => {
  const serving = [...instances, ...surplus].filter((one) => one.port === port);
  return addresses.some(
    (address) =>
      listeners.filter(
        (listener) =>
          listener.address === address &&
          listener.port === port &&
          serving.some(({ process }) => process?.uid === listener.uid),
      ).length >= serving.length,
  );
};

/** Null when its console cannot be asked. */
export const reached = (
  unit: Unit,
  { instance, process, port }: Found,
  { console: login }: OwnLogins,
): Reached | null => {
  if (process === null || port === null) return null;
  const console = instance.console(port, login);
  const { id, place } = instance;
  return {
    id,
    console,
    consoleOfItsOwn: () => instance.consoleOfItsOwn(port, login),
    notePaused: async (paused) => {
      const { signal } = new AbortController();
      const version = await instance.version(console, unit.patience.answer, signal);
      if (version === null || isAtLeast(version, '1.19')) return;
      if (paused) await unit.pebble.writeFiles([{ path: place.paused, content: noteOf(process) }], signal);
      else await unit.pebble.removePaths([{ path: place.paused, recursive: true }], signal);
    },
  };
};

/** Names the process that was paused. */
export const noteOf = ({ pid, startedAt }: FoundProcess): string => JSON.stringify({ pid, startedAt });

export const openInstances = (places: Places, network: string, clock: Clock): ((id: number) => Instance) => {
  const known = new Map<number, Instance>();
  return (id) => {
    const instance = known.get(id) ?? new Instance(instancePlace(places, id), `${network}.${id}`, clock);
    known.set(id, instance);
    return instance;
  };
};
