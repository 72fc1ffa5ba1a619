/**
 * With what clients are served that ask for TLS. The backplane says what there is; it is taken once it is sound and PgBouncer takes
 * it, and until then what the files of the instances name is kept.
 */
import { posix } from 'node:path';
import { Secret } from '../../actors/model/secret.ts';
import type { TlsFiles } from '../../actors/model/workload.ts';
import { settingsIn } from '../../pgbouncer/ini.ts';
import { contentsOf, endOf, faultOfTls, tlsFilesIn } from '../../pgbouncer/tls.ts';
import { textOf } from './files.ts';
import { proveTls } from './prove.ts';
import type { Unit } from './unit.ts';

export interface TlsLook {
  /** What to serve with; null: without TLS. */
  readonly files: TlsFiles | null;
  readonly isWritten: boolean;
  /** Sentences. */
  readonly troubles: readonly string[];
}

export const lookAtTls = async (
  unit: Unit,
  inis: readonly (string | null)[],
  signal: AbortSignal,
): Promise<TlsLook> => {
  const material = unit.tls();
  if (material === null) return { files: null, isWritten: true, troubles: [] };
  const offered = tlsFilesIn(unit.places.tls, material);
  const served = inis.map((ini) => settingsIn(ini ?? '').get('client_tls_cert_file'));
  const inUse = served.includes(offered.certificateFile);
  const fault = inUse ? null : (faultOfTls(material, names) ?? (await refusalOf(unit, offered, signal)));
  const files = fault === null ? offered : await keptIn(unit, served, signal);
  const troubles: string[] = fault === null ? [] : [fault];
  if (files === null) return { files, isWritten: true, troubles };
  const end = endOf(files);
  if (end <= unit.clock.wall())
    troubles.push(
      `the certificate has ended on ${new Date(end).toISOString()}: clients that look at it are not let in`,
    );
  const contents = contentsOf(files);
  const reads = await unit.pebble.readFiles(
    contents.map(([path]) => path),
    signal,
  );
  return { files, isWritten: contents.every(([, text], index) => textOf(reads[index]) === text), troubles };
};

/** Once nothing runs with them any more. */
export const forgetOtherTls = async (unit: Unit, files: TlsFiles | null, signal: AbortSignal): Promise<void> => {
  const found = (await unit.pebble.listFiles(unit.places.tls, signal)) ?? [];
  const others = found.filter(({ path }) => path !== files?.directory);
  if (others.length > 0)
    await unit.pebble.removePaths(
      others.map(({ path }) => ({ path, recursive: true })),
      signal,
    );
};

/** As they are called where they come from. */
const names = {
  key: 'the private key of this unit',
  certificate: 'the certificate of this unit',
  authorities: 'the authorities of its certificate',
};

const refusalOf = async (unit: Unit, files: TlsFiles, signal: AbortSignal): Promise<string | null> => {
  const proof = await proveTls(unit, files, signal);
  return proof === null || proof.kind === 'done' ? null : `${names.certificate}: ${proof.reason}`;
};

/** What an earlier hook took. */
const keptIn = async (
  unit: Unit,
  served: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<TlsFiles | null> => {
  for (const certificateFile of new Set(served)) {
    const directory = certificateFile === undefined ? '' : posix.dirname(certificateFile);
    if (!directory.startsWith(`${unit.places.tls}/`)) continue;
    const paths = ['key.pem', 'certificate.pem', 'authorities.pem'].map((name) => posix.join(directory, name));
    const [key, certificate, authorities] = (await unit.pebble.readFiles(paths, signal)).map(textOf);
    if (key == null || certificate == null || authorities == null) continue;
    const files = tlsFilesIn(unit.places.tls, { key: new Secret(key), certificate, authorities });
    if (files.directory === directory) return files;
  }
  return null;
};
