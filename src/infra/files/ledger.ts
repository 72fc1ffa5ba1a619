/**
 * What one unit knows for sure, in one file of its directory: written whole, checksummed, before it is acted on or told.
 * It outlives the process and the store: the highest epoch accepted and its holder, the unit's own count of starts, the newest
 * leader data and intent in the very form in which the store keeps them (secrets sealed), and the unit's memory.
 *
 * What it held before its last write stays beside it. A file that is damaged is set aside under another name, and the earlier one
 * is used; without that it is started over: the store knows most of it again. Either is reported, and told as a loss.
 * A file sealed with another key is neither damaged nor useless, so it is left alone and the unit does not start.
 */
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Epoch, Nonce, UnitName } from '../../actors/model/ids.ts';
import type { Memory } from '../../actors/model/snapshot.ts';
import type { Recalled } from '../../actors/ports/backplane.ts';
import { identityOf, readWhole, writeAtomic } from './atomic-file.ts';
import type { Codec, Decoded, Sealer } from './codec.ts';
import { intentCodec, memoryCodec, publishedCodec, relationCodec, verdictCodec } from './domain-codecs.ts';
import type { Log } from './log.ts';
import { digestOf, isRelation, type ObjectName, placeOf, type StoredObject } from './stored-object.ts';

export interface LedgerContent {
  readonly unit: UnitName;
  /** +1 with each start. */
  readonly boot: number;
  /** Highest epoch ever accepted, and whose it was: one holder per epoch. */
  readonly epoch: number;
  readonly holder: Nonce | null;
  /** Where in the life of the store this unit was: the random name of that life, revision, and tag of the revision. */
  readonly position: Position | null;
  /** Intent, newest generation, verdict and relation records, by object name. */
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly memory: string | null;
}
export interface Position {
  readonly life: string;
  readonly revision: number;
  readonly tag: string;
}

export interface LedgerOptions {
  /** The unit's own directory. */
  readonly directory: string;
  readonly unit: UnitName;
  readonly sealer: Sealer;
  readonly log: Log;
}

export class Ledger {
  readonly #path: string;
  readonly #sealer: Sealer;
  #content: LedgerContent;
  #recalled: Recalled;
  /** What the file holds, and the write under way. */
  #written: LedgerContent;
  #writing: Promise<void> | null = null;
  #identity: string | null = null;

  private constructor(path: string, sealer: Sealer, found: Found) {
    this.#path = path;
    this.#sealer = sealer;
    this.#written = found.content;
    this.#content = { ...found.content, boot: found.content.boot + 1 };
    this.#recalled = found.recalled;
  }

  /** Reads the file and counts this start in it. Rejects when the directory cannot be written or the key is another one. */
  static async open({ directory, unit, sealer, log }: LedgerOptions): Promise<Ledger> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, fileName);
    const ledger = new Ledger(path, sealer, await find(path, unit, sealer, log));
    await ledger.keep((content) => content);
    return ledger;
  }

  get content(): LedgerContent {
    return this.#content;
  }

  /** As of the last start; what of it was lost is said in `losses`. */
  get recalled(): Recalled {
    return this.#recalled;
  }

  /** Resolves when the file holds the change. Changes made while a write is under way share the next one. */
  async keep(change: (content: LedgerContent) => LedgerContent): Promise<void> {
    this.#content = change(this.#content);
    while (this.#written !== this.#content) {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = null;
      });
      await this.#writing;
    }
  }

  /** Joins what the next `keep` writes. */
  note(change: Partial<LedgerContent>): void {
    this.#content = { ...this.#content, ...change };
  }

  async remember(memory: Memory): Promise<void> {
    const text = memoryCodec.encode(this.#sealer, 'memory', memory);
    await this.keep((content) => ({ ...content, memory: text }));
    this.#recalled = { ...this.#recalled, memory };
  }

  /** Another process has started on this file since our last write, so it counts and we do not. */
  async isTakenOver(): Promise<boolean> {
    const identity = await identityOf(this.#path);
    if (identity === null || identity === this.#identity) return false;
    const found = parseFile(await readWhole(this.#path, maxBytes));
    return found.kind === 'decoded' && found.value.boot > this.#content.boot;
  }

  async #write(): Promise<void> {
    const content = this.#content;
    await writeAtomic(this.#path, textOf(content), 0o600, previousOf(this.#path));
    this.#identity = await identityOf(this.#path);
    this.#written = content;
  }
}

const fileName = 'ledger';
const previousOf = (path: string): string => `${path}.previous`;
const maxBytes = 64 * 1024 * 1024;

interface Found {
  readonly content: LedgerContent;
  readonly recalled: Recalled;
}

const find = async (path: string, unit: UnitName, sealer: Sealer, log: Log): Promise<Found> => {
  const newest = await look(path, unit, sealer);
  if (newest.kind === 'found') return newest;
  const earlier = await look(previousOf(path), unit, sealer);
  if (newest.kind === 'missing' && earlier.kind === 'missing') return emptyFor(unit);
  for (const [file, { kind, reason }] of [[path, newest] as const, [previousOf(path), earlier] as const]) {
    if (kind !== 'damaged') continue;
    const aside = `${file}.damaged-${Date.now()}`;
    await rename(file, aside);
    log.error({ unit, path: file, aside, reason }, 'the ledger is damaged: set aside');
  }
  const what = `${path} ${newest.kind === 'missing' ? 'is missing' : `was damaged (${newest.reason})`}`;
  if (earlier.kind !== 'found')
    return withLoss(
      emptyFor(unit),
      `${what}, and so is the copy of what it held before: what this unit knew is lost, and is what the backplane and the next generation tell it again`,
    );
  const { content, recalled } = earlier;
  // The lost one may have counted a start, and a grant of the lease, that this one has not: no number is used twice.
  const counted = { ...content, boot: content.boot + 1 };
  return withLoss(
    { content: counted, recalled },
    `${what}: this unit goes on from what was kept before its last write, so its last change may be lost; look at the options and relations`,
  );
};

const withLoss = ({ content, recalled }: Found, loss: string): Found => ({
  content,
  recalled: { ...recalled, losses: [loss] },
});

type Looked =
  | ({ readonly kind: 'found'; readonly reason: '' } & Found)
  | { readonly kind: 'missing'; readonly reason: '' }
  | { readonly kind: 'damaged'; readonly reason: string };

/** Rejects for a file that is whole and not for us: nothing is done to it. */
const look = async (path: string, unit: UnitName, sealer: Sealer): Promise<Looked> => {
  const text = await readWhole(path, maxBytes);
  if (text === null) return { kind: 'missing', reason: '' };
  const parsed = parseFile(text);
  const recalled = parsed.kind === 'decoded' ? recall(parsed.value, sealer) : parsed;
  if (recalled.kind === 'otherKey') throw new Error(otherKeySentence(path, recalled.keyId, sealer));
  if (parsed.kind !== 'decoded' || recalled.kind !== 'decoded')
    return { kind: 'damaged', reason: recalled.kind === 'corrupt' ? recalled.reason : 'unreadable' };
  if (parsed.value.unit === unit) return { kind: 'found', reason: '', content: parsed.value, recalled: recalled.value };
  throw new Error(`cannot use the ledger ${path}: it is that of ${parsed.value.unit}, and this unit is ${unit}`);
};

const otherKeySentence = (path: string, keyId: string, { key }: Sealer): string =>
  `cannot open the secrets in ${path}: they were sealed with key ${keyId}, and the secret key given is ${key.id}; give the key that belongs to this state directory, or remove this file and the other one of its name ("ledger", "${previousOf('ledger')}") to forget what the unit knew`;

const emptyFor = (unit: UnitName): Found => ({
  content: { unit, boot: 0, epoch: 0, holder: null, position: null, objects: new Map(), memory: null },
  recalled: { memory: { verified: null, waits: [] }, intent: null, published: null, epoch: 0 as Epoch, losses: [] },
});

/** Everything in the file must be readable, whatever of it is told now. */
const recall = (content: LedgerContent, sealer: Sealer): Decoded<Recalled> => {
  const { memory: text, objects } = content;
  const memory: Decoded<Memory | null> = text === null ? none : memoryCodec.decode(sealer, 'memory', text);
  const intent = read(content, 'intent', intentCodec, sealer);
  const published = read(content, 'gen', publishedCodec, sealer);
  const rest = [...objects.keys()].map((name) =>
    isRelation(name) ? read(content, name, relationCodec, sealer) : read(content, 'verdict', verdictCodec, sealer),
  );
  const bad = [memory, intent, published, ...rest].find(({ kind }) => kind !== 'decoded');
  if (bad !== undefined && bad.kind !== 'decoded') return bad;
  return {
    kind: 'decoded',
    value: {
      memory: valueOf(memory) ?? { verified: null, waits: [] },
      intent: valueOf(intent),
      published: valueOf(published),
      epoch: content.epoch as Epoch,
      losses: [],
    },
  };
};

const none = { kind: 'decoded', value: null } as const;
const valueOf = <T>(decoded: Decoded<T | null>): T | null => (decoded.kind === 'decoded' ? decoded.value : null);

const read = <T>({ objects }: LedgerContent, name: ObjectName, codec: Codec<T>, sealer: Sealer): Decoded<T | null> => {
  const kept = objects.get(name);
  return kept === undefined ? none : codec.decode(sealer, placeOf(name, kept), kept.body);
};

/** First line: what it is, version, checksum of the rest. */
const textOf = ({ objects, ...content }: LedgerContent): string => {
  const body = JSON.stringify({ ...content, objects: Object.fromEntries(objects) });
  return `${header} ${digestOf(body)}\n${body}`;
};
const header = 'troupe-ledger 1';

const parseFile = (text: string | null): Decoded<LedgerContent> => {
  if (text === null) return { kind: 'corrupt', reason: 'there is no such file' };
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  const first = text.slice(0, Math.max(0, end));
  if (!first.startsWith('troupe-ledger ')) return { kind: 'corrupt', reason: 'it does not begin like a ledger' };
  if (first !== `${header} ${digestOf(body)}`)
    return { kind: 'corrupt', reason: 'its checksum or version does not fit' };
  const parsed = contentSchema.safeParse(JSON.parse(body)); // Our own writing, as the checksum says.
  return parsed.success
    ? { kind: 'decoded', value: parsed.data }
    : { kind: 'corrupt', reason: `/${parsed.error.issues[0]?.path.join('/') ?? ''} does not fit` };
};

const count = z.int().nonnegative();
const objectSchema = z.object({
  version: count,
  epoch: count,
  digest: z.string().transform((s) => s as StoredObject['digest']),
  request: z.string(),
  body: z.string(),
});
const contentSchema: z.ZodType<LedgerContent> = z.object({
  unit: z.string().transform((s) => s as UnitName),
  boot: count,
  epoch: count,
  holder: z
    .string()
    .transform((s) => s as Nonce)
    .nullable(),
  position: z.object({ life: z.string(), revision: count, tag: z.string() }).nullable(),
  objects: z.record(z.string(), objectSchema).transform((objects) => new Map(Object.entries(objects))),
  memory: z.string().nullable(),
});

/** Another one after each write; null where no unit has been at work yet: it begins with its ledger. */
export const ledgerIdentity = async (directory: string): Promise<string | null> => {
  const path = join(directory, fileName);
  return (await identityOf(path)) ?? (await identityOf(previousOf(path)));
};

/** Where a unit keeps its files: one folder per unit, so that replicas may share a volume. */
export const unitDirectory = (stateDir: string, unit: UnitName): string => join(stateDir, unit.replace('/', '-'));
