/**
 * Sealing of secret values: AES-256-GCM under a key derived per record, so that random nonces can never meet under one key.
 * The associated data names format, application, object and field: a ciphertext moved anywhere else does not open.
 * Answers are values; the cipher's own words never leave this file.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { link, readFile, rename, rm } from 'node:fs/promises';
import type { Application } from '../../actors/model/ids.ts';
import { Secret } from '../../actors/model/secret.ts';
import { isMissing, readWhole, writeAtomic } from './atomic-file.ts';
import { codeOf, isSystemError } from './system-error.ts';

/** Format number of everything sealed or kept in a store; also the prefix of its keys. */
export const format = 'bp1';

/** Wire form: key id, salt, nonce (iv), tag, ciphertext; the last four base64url. */
export interface Envelope {
  readonly k: string;
  readonly s: string;
  readonly i: string;
  readonly t: string;
  readonly c: string;
}

/** Where a value lives: part of what is authenticated. */
export interface Place {
  readonly application: Application;
  readonly object: string;
  /** JSON pointer of the field in its object. */
  readonly field: string;
}

export type Opened =
  | { readonly kind: 'opened'; readonly secret: Secret }
  | { readonly kind: 'otherKey'; readonly keyId: string }
  | { readonly kind: 'damaged' };

/** The key of an application: 32 random bytes that never print. */
export class SealKey {
  /** Names the key without telling it. */
  readonly id: string;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = Buffer.from(bytes);
    this.id = createHash('sha256').update('troupe seal key id').update(bytes).digest('hex').slice(0, 16);
  }
  derive(salt: Uint8Array, purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, salt, purpose, 32));
  }
  /** Fingerprint of a text that may hold secrets: equal for equal texts, of no use to whoever lacks the key. */
  fingerprint(text: string): string {
    return createHmac('sha256', this.derive(Buffer.alloc(0), `${format}|fingerprint`))
      .update(text)
      .digest('hex')
      .slice(0, 32);
  }
}

export const seal = (key: SealKey, place: Place, secret: Secret): Envelope => {
  const salt = randomBytes(16);
  const iv = randomBytes(12);
  const name = nameOf(place);
  const cipher = createCipheriv('aes-256-gcm', key.derive(salt, name), iv);
  cipher.setAAD(Buffer.from(name));
  const sealed = Buffer.concat([cipher.update(secret.reveal(), 'utf8'), cipher.final()]);
  return { k: key.id, s: text(salt), i: text(iv), t: text(cipher.getAuthTag()), c: text(sealed) };
};

export const open = (key: SealKey, place: Place, envelope: Envelope): Opened => {
  if (envelope.k !== key.id) return { kind: 'otherKey', keyId: envelope.k };
  const [salt, iv, tag] = [bytes(envelope.s), bytes(envelope.i), bytes(envelope.t)];
  if (salt.length !== 16 || iv.length !== 12 || tag.length !== 16) return { kind: 'damaged' };
  const name = nameOf(place);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.derive(salt, name), iv);
    decipher.setAAD(Buffer.from(name));
    decipher.setAuthTag(tag);
    const plain = Buffer.concat([decipher.update(bytes(envelope.c)), decipher.final()]);
    return { kind: 'opened', secret: new Secret(plain.toString('utf8')) };
  } catch {
    return { kind: 'damaged' }; // The tag does not fit: another place, or bytes that somebody changed.
  }
};

/** From the text of a key file: 32 bytes as 44 characters of base64 or 64 of hex, and maybe the id of the key to check it by. */
export const sealKeyOf = (written: Secret, source: string): SealKey => {
  const [plain = '', check] = written
    .reveal()
    .trim()
    .split(/\s*\n\s*/);
  const encoding = /^[0-9a-fA-F]{64}$/.test(plain) ? 'hex' : 'base64';
  const decoded = Buffer.from(plain, encoding);
  if (decoded.length !== 32 || (encoding === 'base64' && !/^[A-Za-z0-9+/_-]{43}=?$/.test(plain))) {
    throw new Error(
      `cannot use the secret key in ${source}: it must be 32 random bytes, as base64 or hex (for instance from "openssl rand -base64 32")`,
    );
  }
  const key = new SealKey(decoded);
  if (check === undefined || check === `id ${key.id}`) return key;
  throw new Error(`cannot use the secret key in ${source}: it was changed since it was made, its id does not fit`);
};

export const loadSealKey = async (path: string): Promise<SealKey> => {
  try {
    return sealKeyOf(new Secret(await readFile(path, 'utf8')), path);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    const why = isMissing(cause)
      ? `there is no file ${path}; make one with "openssl rand -base64 32 > ${path}"`
      : `${path} is no file that this program may read (${cause.message}); give it the rights, or name another one`;
    throw new Error(`cannot read the secret key: ${why}`, { cause });
  }
};

export interface KeptKey {
  readonly key: SealKey;
  /** What of the files was of no use and was replaced by the copy: a sentence for each. */
  readonly losses: readonly string[];
}

/**
 * Reads the key, making the file (0400) first when there is none: for a unit that runs alone, and for throw-away fleets.
 * Nothing that it sealed can be had without it, so it lies there twice, and either file is enough.
 */
export const ensureSealKey = async (path: string): Promise<KeptKey> => {
  const copy = `${path}.copy`;
  const [first, second] = await Promise.all([attempt(path), attempt(copy)]);
  if (first.kind === 'missing' && second.kind === 'missing') {
    const made = randomBytes(32).toString('base64');
    await place(path, writtenWithId(made, sealKeyOf(new Secret(made), path)), 'unlessThere');
    return ensureSealKey(path);
  }
  if (first.kind === 'key') {
    if (second.kind !== 'key' || second.key.id !== first.key.id) await place(copy, first.text, 'replacing');
    return {
      key: first.key,
      losses: second.kind === 'unusable' ? [`${copy} was damaged: it is made again from ${path}`] : [],
    };
  }
  if (second.kind === 'key') {
    await place(path, second.text, 'replacing');
    const what = first.kind === 'missing' ? 'was missing' : 'was damaged';
    return { key: second.key, losses: [`${path} ${what}: it is made again from ${copy}`] };
  }
  const cause = first.kind === 'unusable' ? first.cause : second.kind === 'unusable' ? second.cause : null;
  if (cause === null) return ensureSealKey(path); // Somebody else made it between two looks.
  throw new Error(
    `${cause.message}; there is no copy of use in ${copy} either: put the key of this state directory back, or remove the state directory to begin anew`,
    { cause },
  );
};

type Attempt =
  | { readonly kind: 'key'; readonly key: SealKey; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly cause: Error };

const attempt = async (path: string): Promise<Attempt> => {
  const written = await readWhole(path, 10_000);
  if (written === null) return { kind: 'missing' };
  try {
    const key = sealKeyOf(new Secret(written), path);
    return { kind: 'key', key, text: writtenWithId(written.trim().split('\n')[0] ?? '', key) };
  } catch (cause) {
    return { kind: 'unusable', cause: cause instanceof Error ? cause : new Error(String(cause)) };
  }
};

const writtenWithId = (plain: string, { id }: SealKey): string => `${plain}\nid ${id}\n`;

/** Whole or not at all; several may do it at once. */
const place = async (path: string, written: string, how: 'unlessThere' | 'replacing'): Promise<void> => {
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  await writeAtomic(fresh, written, 0o400);
  if (how === 'replacing') return rename(fresh, path);
  try {
    await link(fresh, path);
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw cause;
  } finally {
    await rm(fresh);
  }
};

const nameOf = ({ application, object, field }: Place): string => `${format}|${application}|${object}|${field}`;
const text = (raw: Buffer): string => raw.toString('base64url');
const bytes = (encoded: string): Buffer => Buffer.from(encoded, 'base64url');
