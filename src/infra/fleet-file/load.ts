import { dirname, resolve } from 'node:path';
import type { FleetChange } from '../../actors/model/change.ts';
import type { OptionValue } from '../../actors/model/intent.ts';
import { beginningOf, type Input, readBeginning, whyUnreadable } from '../files/bounded-read.ts';
import { NoPassword, passwordFrom } from '../files/password-file.ts';
import { Faults, faultSentence } from './faults.ts';
import { type BackendInFile, type FleetFile, type Parsed, parseFleetFile, parseOptionsFile } from './fleet-file.ts';
import { mostBytes } from './tree.ts';

/** A fleet file with the passwords that it names. */
export interface LoadedFleet {
  readonly change: FleetChange;
  /** A sentence about a path of the file, with its line. */
  readonly about: (path: string, reason: string) => string;
}

/** From a file, or from `stdin` for `-`; password files are relative to where the fleet file is, or to the working directory. */
export const loadFleet = async (file: string, stdin: Input | null, prune: boolean): Promise<Parsed<LoadedFleet>> => {
  const name = nameOf(file);
  const read = await bytesOf(file, stdin);
  const parsed = read.kind === 'parsed' ? parseFleetFile(read.value, name) : read;
  return parsed.kind === 'faults'
    ? parsed
    : withPasswords(parsed.value, name, file === '-' ? '.' : dirname(file), prune);
};

export const loadOptions = async (
  file: string,
  stdin: Input,
): Promise<Parsed<Readonly<Record<string, OptionValue>>>> => {
  const read = await bytesOf(file, stdin);
  return read.kind === 'parsed' ? parseOptionsFile(read.value, nameOf(file)) : read;
};

const nameOf = (file: string): string => (file === '-' ? 'standard input' : file);

const bytesOf = async (file: string, stdin: Input | null): Promise<Parsed<Uint8Array>> => {
  try {
    const value =
      file === '-' && stdin !== null ? beginningOf(stdin, mostBytes + 1) : readBeginning(file, mostBytes + 1);
    return { kind: 'parsed', value: await value };
  } catch (cause) {
    return { kind: 'faults', sentences: [`cannot read ${nameOf(file)}: ${whyUnreadable(cause)}`] };
  }
};

const withPasswords = async (
  fleet: FleetFile,
  name: string,
  directory: string,
  prune: boolean,
): Promise<Parsed<LoadedFleet>> => {
  const faults = new Faults();
  const backends: [string, FleetChange['backends'][string]][] = [];
  for (const [backend, { passwordFile, ...fields }] of Object.entries<BackendInFile>(fleet.backends)) {
    const path = `backends.${backend}.password-file`;
    try {
      backends.push([backend, { ...fields, password: await passwordFrom(resolve(directory, passwordFile)) }]);
    } catch (cause) {
      if (!(cause instanceof NoPassword)) throw cause;
      faults.add(fleet.lineOf(path), path, cause.message);
    }
  }
  if (faults.any) return { kind: 'faults', sentences: faults.sentences(name) };
  const { application, options, clients } = fleet;
  return {
    kind: 'parsed',
    value: {
      change: { type: 'applyFleet', application, options, backends: Object.fromEntries(backends), clients, prune },
      about: (path, reason) => faultSentence(name, { line: fleet.lineOf(path), path, reason }),
    },
  };
};
