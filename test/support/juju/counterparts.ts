/** Charms that nobody here wrote the libraries of, to be related to ours in a model of Juju; and what they say they were told. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pair } from '../certificates.ts';
import { type Charm, charmIn } from './charm.ts';
import { counterpartsFolder } from './counterparts-python.ts';
import type { DeployOptions } from './controller.ts';

export type CounterpartName =
  | 'client-v0'
  | 'client-v1'
  | 'client-legacy'
  | 'backend-v0'
  | 'backend-v1'
  | 'certificates'
  | 'watcher';

/** What one was told, by the name that its library gives to that. */
export type Told = Readonly<Record<string, unknown>> & { readonly event: string; readonly hook: string };

interface Played {
  readonly asks?: unknown;
  readonly answers?: unknown;
  readonly signs?: Pair;
  readonly takesTracesAt?: string;
}

export class Counterparts {
  readonly #python: string;
  readonly #records: string;
  /** `records`: a directory for what they were told. */
  constructor(python: string, records: string) {
    this.#python = python;
    this.#records = records;
  }

  charm(name: CounterpartName): Charm {
    return charmIn(join(counterpartsFolder, name));
  }

  /** `asks`: the requests of a client, by the names of its library. `answers`: what a backend answers with. `signs`: an authority. */
  options({ asks, answers, signs, takesTracesAt, ...options }: DeployOptions & Played = {}): DeployOptions {
    return {
      ...options,
      environment: () => ({
        COUNTERPARTS_PYTHON: this.#python,
        COUNTERPARTS_MODULES: counterpartsFolder,
        COUNTERPARTS_RECORDS: this.#records,
        ...(asks === undefined ? {} : { CLIENT_REQUESTS: JSON.stringify(asks) }),
        ...(answers === undefined ? {} : { BACKEND_ANSWER: JSON.stringify(answers) }),
        ...(signs === undefined ? {} : { CERTIFICATES_AUTHORITY: JSON.stringify(signs) }),
        ...(takesTracesAt === undefined ? {} : { TRACES_AT: JSON.stringify(takesTracesAt) }),
      }),
    };
  }

  /** In the order in which it was told. */
  async told(unit: string): Promise<readonly Told[]> {
    const text = await readFile(join(this.#records, unit.replace('/', '-')), 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line): Told => JSON.parse(line));
  }
}
