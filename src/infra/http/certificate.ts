import { createHash, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { readClosedFile, readOpenFile } from '../files/closed-file.ts';
import type { Made } from './fresh.ts';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The certificate chain and its key, tried out. Rejects with one sentence that names the file. */
export const certificateFrom = async (files: CertificateFiles): Promise<Made<SecureContextOptions>> => {
  const [cert, key] = await Promise.all([readOpenFile(files.certificate), readClosedFile(files.key)]);
  const context = { cert, key, minVersion: 'TLSv1.2' } as const;
  tried(`${files.certificate}: it is no certificate in PEM`, () => new X509Certificate(cert));
  tried(`${files.key}: it is no private key in PEM, without a passphrase, that belongs to ${files.certificate}`, () =>
    createSecureContext(context),
  );
  return {
    digest: createHash('sha256')
      .update(JSON.stringify([cert, key]))
      .digest('hex'),
    value: context,
  };
};

/** OpenSSL's own words may quote what it read; they stay in the cause. */
const tried = (sentence: string, attempt: () => unknown): void => {
  try {
    attempt();
  } catch (cause) {
    throw new Error(sentence, { cause });
  }
};
