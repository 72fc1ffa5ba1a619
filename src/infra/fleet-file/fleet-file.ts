/** Desired intent as a file: shape and types are checked here; what a value may be is decided where changes are made. */
import type { SettingsChange } from '../../actors/model/change.ts';
import { clientTimeouts, type OptionValue, poolModes } from '../../actors/model/intent.ts';
import { parseOption } from '../../pgbouncer/catalogue.ts';
import { timeoutWords } from '../../pgbouncer/client-settings.ts';
import { Faults } from './faults.ts';
import { join, Reading } from './reading.ts';
import { textOf, type Tree, treeOf } from './tree.ts';

export interface FleetFile {
  readonly application: string | null;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly backends: Readonly<Record<string, BackendInFile>>;
  readonly clients: Readonly<Record<string, ClientInFile>>;
  /** Where a path stands. */
  readonly lineOf: (path: string) => number | null;
}
export interface BackendInFile {
  readonly endpoints: readonly string[];
  readonly username: string;
  /** As written: relative to the fleet file. */
  readonly passwordFile: string;
  readonly maintenanceDatabase: string | null;
}
export interface ClientInFile {
  readonly database: string;
  readonly backend: string | null;
  readonly extraUserRoles: readonly string[] | null;
  readonly settings: SettingsChange;
}

export type Parsed<T> =
  | { readonly kind: 'parsed'; readonly value: T }
  /** One sentence per fault, which begins with `name` and the line. */
  | { readonly kind: 'faults'; readonly sentences: readonly string[] };

/** `name`: of the file, for those who read the faults. */
export const parseFleetFile = (bytes: Uint8Array, name: string): Parsed<FleetFile> => {
  const faults = new Faults();
  const text = textOf(bytes, faults);
  const tree = text === null ? null : treeOf(text, faults);
  const fleet = tree === null ? null : fleetIn(tree, new Reading(faults));
  if (fleet === null && !faults.any) faults.add(null, '', emptyReason);
  return fleet === null || faults.any
    ? { kind: 'faults', sentences: faults.sentences(name) }
    : { kind: 'parsed', value: fleet };
};

/** Options alone, as a map of keys and values or as lines KEY=VALUE. */
export const parseOptionsFile = (bytes: Uint8Array, name: string): Parsed<Readonly<Record<string, OptionValue>>> => {
  const faults = new Faults();
  const text = textOf(bytes, faults);
  const options = text === null ? null : (wordsIn(text, faults) ?? optionsOf(text, faults));
  if (!faults.any && (options === null || Object.keys(options).length === 0))
    faults.add(null, '', 'it names no option: write KEY: VALUE or KEY=VALUE on its lines');
  return options === null || faults.any
    ? { kind: 'faults', sentences: faults.sentences(name) }
    : { kind: 'parsed', value: options };
};

const optionsOf = (text: string, faults: Faults): Readonly<Record<string, OptionValue>> | null => {
  const tree = treeOf(text, faults);
  return tree === null ? null : optionsIn(tree, '', new Reading(faults));
};

const emptyReason = 'it names nothing: write at least one of options, backends and clients ({} for none of them)';

const fleetIn = (tree: Tree, reading: Reading): FleetFile | null => {
  const fields = reading.fields(tree, '', 'a fleet', ['application', 'options', 'backends', 'clients']);
  const { options, backends, clients } = {
    options: fields.get('options'),
    backends: fields.get('backends'),
    clients: fields.get('clients'),
  };
  if (options === undefined && backends === undefined && clients === undefined) return null;
  return {
    application: fields.has('application') ? reading.text(fields.get('application'), 'application') : null,
    options: options === undefined ? {} : optionsIn(options, 'options', reading),
    backends: backends === undefined ? {} : relationsIn(backends, 'backends', reading, backendIn),
    clients: clients === undefined ? {} : relationsIn(clients, 'clients', reading, clientIn),
    lineOf: (path) => reading.lineOf(path),
  };
};

/** What is no value of the option goes on as text: the unit says what is wrong with it, in one place for everybody. */
const optionsIn = (tree: Tree, path: string, reading: Reading): Readonly<Record<string, OptionValue>> =>
  Object.fromEntries(
    reading.entries(tree, path).flatMap(([key, value]) => {
      const text = reading.word(value, join(path, key));
      if (text === null) return [];
      const read = parseOption(key, text);
      return [[key, read.ok ? read.value : text] as const];
    }),
  );

const relationsIn = <T>(
  tree: Tree,
  path: string,
  reading: Reading,
  read: (tree: Tree, path: string, reading: Reading) => T | null,
): Readonly<Record<string, T>> =>
  Object.fromEntries(
    reading.entries(tree, path).flatMap(([name, value]) => {
      const relation = read(value, join(path, name), reading);
      return relation === null ? [] : [[name, relation] as const];
    }),
  );

const backendIn = (tree: Tree, path: string, reading: Reading): BackendInFile | null => {
  const known = ['endpoints', 'username', 'password-file', 'maintenance-database'];
  const fields = reading.fields(tree, path, 'a backend', known);
  if (tree.kind !== 'map') return null;
  const endpoints = reading.texts(fields.get('endpoints'), `${path}.endpoints`);
  const username = reading.text(fields.get('username'), `${path}.username`);
  const passwordFile = reading.text(fields.get('password-file'), `${path}.password-file`);
  const database = fields.get('maintenance-database');
  const maintenanceDatabase = database === undefined ? null : reading.text(database, `${path}.maintenance-database`);
  if (passwordFile !== null && /^-?$/.test(passwordFile))
    return reading.faults.add(reading.lineOf(`${path}.password-file`), `${path}.password-file`, 'must name a file');
  return endpoints === null || username === null || passwordFile === null
    ? null
    : { endpoints, username, passwordFile, maintenanceDatabase };
};

const clientIn = (tree: Tree, path: string, reading: Reading): ClientInFile | null => {
  const timeouts = clientTimeouts.map((name) => [name, timeoutWords[name].word] as const);
  const known = ['database', 'backend', 'extra-user-roles', 'pool-mode', 'budget', ...timeouts.map(([, word]) => word)];
  const fields = reading.fields(tree, path, 'a client', known);
  if (tree.kind !== 'map') return null;
  const database = reading.text(fields.get('database'), `${path}.database`);
  const [backend, roles, budget] = [fields.get('backend'), fields.get('extra-user-roles'), fields.get('budget')];
  const client = {
    backend: backend === undefined ? null : reading.text(backend, `${path}.backend`),
    extraUserRoles: roles === undefined ? null : (reading.texts(roles, `${path}.extra-user-roles`) ?? []),
    settings: {
      poolMode: poolModeIn(fields.get('pool-mode'), `${path}.pool-mode`, reading),
      budget: budget === undefined ? undefined : (reading.number(budget, `${path}.budget`) ?? undefined),
      timeouts: Object.fromEntries(
        timeouts.flatMap(([name, word]) => {
          const value = fields.get(word);
          return value === undefined ? [] : [[name, reading.number(value, `${path}.${word}`)] as const];
        }),
      ),
    },
  };
  return database === null ? null : { database, ...client };
};

const poolModeIn = (tree: Tree | undefined, path: string, reading: Reading): SettingsChange['poolMode'] => {
  if (tree === undefined) return undefined;
  const text = reading.text(tree, path);
  const mode = poolModes.find((one) => one === text?.toLowerCase());
  if (text !== null && mode === undefined)
    reading.faults.add(tree.line, path, `${JSON.stringify(text.slice(0, 50))} must be one of ${poolModes.join(', ')}`);
  return mode;
};

/** Null when the file is not made of lines KEY=VALUE; blank lines and comments stand between them. */
const wordsIn = (file: string, faults: Faults): Readonly<Record<string, OptionValue>> | null => {
  const lines = file.split(/\r?\n/);
  const meant = lines
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text }) => !/^\s*(?:#.*)?$/.test(text));
  if (meant.length === 0 || !meant.every(({ text }) => /^[A-Za-z_][\w-]*=/.test(text))) return null;
  const seen = new Set<string>();
  return Object.fromEntries(
    meant.map(({ text, line }) => {
      const at = text.indexOf('=');
      const [key, value] = [text.slice(0, at), text.slice(at + 1)];
      if (seen.has(key)) faults.add(line, key, 'stands there twice');
      seen.add(key);
      const read = parseOption(key, value);
      return [key, read.ok ? read.value : value] as const;
    }),
  );
};
