import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TlsFiles, TlsMaterial } from '../../actors/model/workload.ts';
import { Secret } from '../../actors/model/secret.ts';
import { settingsIn } from '../../pgbouncer/ini.ts';
import { contentsOf, endOf, faultOfTls, tlsFilesIn } from '../../pgbouncer/tls.ts';
import { readClosedFile, readOpenFile } from '../files/closed-file.ts';
import { readOwn } from './own-file.ts';
import { proveTls } from './prove.ts';
import type { TlsLook, TlsStock, Unit } from './unit.ts';

/** Paths of what clients are served with. They are the operator's, and are read again and again. */
export interface TlsSource {
  readonly certificate: string;
  readonly key: string;
  readonly authorities: string;
}

/**
 * Takes what lies at the operator's paths once it is sound and PgBouncer takes it, and keeps what it took before until then: in memory,
 * or after a restart what the files of the instances name.
 */
export class TlsKeeper implements TlsStock {
  readonly #source: TlsSource | null;
  readonly #parent: string;
  #taken: TlsFiles | null = null;
  #refused: { readonly files: TlsFiles; readonly reason: string } | null = null;
  /** What the last look could not take. Told when the next one finds the same: files that belong together are not written at once. */
  #doubt: string | null = null;

  constructor(source: TlsSource | null, parent: string) {
    this.#source = source;
    this.#parent = parent;
  }

  async look(unit: Unit, inis: readonly (string | null)[], signal: AbortSignal): Promise<TlsLook> {
    if (this.#source === null) return { files: null, isWritten: true, troubles: [] };
    const doubt = await this.#take(unit, this.#source, signal);
    this.#taken ??= await this.#onDisk(inis);
    const troubles = doubt !== null && (doubt === this.#doubt || this.#taken === null) ? [doubt] : [];
    this.#doubt = doubt;
    const files = this.#taken;
    if (files === null) return { files, isWritten: true, troubles };
    const texts = await Promise.all(contentsOf(files).map(async ([path, text]) => (await readOwn(path)) === text));
    const end = endOf(files);
    if (end <= unit.clock.wall())
      troubles.push(
        `the certificate has ended on ${new Date(end).toISOString()}: clients that look at it are not let in`,
      );
    return { files, isWritten: !texts.includes(false), troubles };
  }

  async forgetOthers(files: TlsFiles | null): Promise<void> {
    for (const name of await readdir(this.#parent)) {
      const directory = join(this.#parent, name);
      if (directory !== files?.directory) await rm(directory, { recursive: true, force: true });
    }
  }

  /** Null when what lies there is in use; else why it is not. */
  async #take(unit: Unit, source: TlsSource, signal: AbortSignal): Promise<string | null> {
    const material = await readFrom(source);
    if (typeof material === 'string') return material;
    const files = tlsFilesIn(this.#parent, material);
    if (files.directory === this.#taken?.directory) return null;
    if (files.directory === this.#refused?.files.directory) return this.#refused.reason;
    const fault = faultOfTls(material, source);
    if (fault !== null) return fault;
    const proof = await proveTls(unit, files, signal);
    if (proof === null) return null;
    if (proof.kind === 'done') {
      this.#taken = files;
      return null;
    }
    const reason = `${source.certificate}: ${proof.reason}`;
    if (proof.kind === 'refused') this.#refused = { files, reason };
    return reason;
  }

  /** What an earlier coordinator took. */
  async #onDisk(inis: readonly (string | null)[]): Promise<TlsFiles | null> {
    for (const ini of inis) {
      const certificateFile = settingsIn(ini ?? '').get('client_tls_cert_file');
      const directory = certificateFile === undefined ? '' : join(certificateFile, '..');
      if (!directory.startsWith(`${this.#parent}/`)) continue;
      const [key, certificate, authorities] = await Promise.all(
        ['key.pem', 'certificate.pem', 'authorities.pem'].map((name) => readOwn(join(directory, name))),
      );
      if (key == null || certificate == null || authorities == null) continue;
      const files = tlsFilesIn(this.#parent, { key: new Secret(key), certificate, authorities });
      if (files.directory === directory) return files;
    }
    return null;
  }
}

/** Or one sentence, which names the file. */
const readFrom = async (source: TlsSource): Promise<TlsMaterial | string> => {
  try {
    const [key, certificate, authorities] = await Promise.all([
      readClosedFile(source.key),
      readOpenFile(source.certificate),
      readOpenFile(source.authorities),
    ]);
    return { key: new Secret(key), certificate, authorities };
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
};
