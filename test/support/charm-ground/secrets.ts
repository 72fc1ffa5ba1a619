/** The secrets of a ground, and where they were seen and must not be. */
import type { RanHook } from '../juju/hook-record.ts';
import type { JujuModel } from '../juju/juju-model.ts';
import { writingsOf } from '../sightings.ts';
import type { Pod } from './pod.ts';

/** Secrets by a name for sentences. */
export type Secrets = ReadonlyMap<string, string>;

/** By the id of a relation whose interface, or whose other side, has no other way: what must be said there in clear. */
export type InClear = ReadonlyMap<number, ReadonlySet<string>>;

/** A text that others than those concerned may get to see, and where. */
export type Place = readonly [where: string, text: string];

/** What lies in the container of a unit and is nobody else's business. */
export const secretsOn = async (unit: string, pod: Pod): Promise<Secrets> => {
  const secrets = new Map<string, string>();
  for (const [path, content] of await pod.files()) {
    if (path.endsWith('/logins.json'))
      for (const [, secret = ''] of content.matchAll(/password\W+([\w-]{16,})/g))
        secrets.set(`login ${secrets.size + 1} that ${unit} made for itself`, secret);
    const line = lineOfKey(content);
    if (line !== null) secrets.set(`a private key of ${unit}`, line);
  }
  return secrets;
};

/** What is said to be secret in secrets of Juju, whoever owns them. */
export const secretsOfJuju = ({ secrets }: Pick<JujuModel, 'secrets'>): Secrets => {
  const found = new Map<string, string>();
  for (const { label, owner, revisions } of secrets.values())
    for (const [revision, content] of revisions)
      for (const [key, value] of Object.entries(content))
        if (/(password|key)$/.test(key) && value !== '')
          found.set(`${key} in revision ${revision} of secret ${label} of ${owner.name}`, lineOfKey(value) ?? value);
  return found;
};

/** One line in the middle of a private key is enough to know it by. */
const lineOfKey = (text: string): string | null =>
  /-----BEGIN [A-Z ]*PRIVATE KEY-----\n(?:\S+\n)??(\S{40})/.exec(text)?.[1] ?? null;

/** Sentences; none: nothing was seen. */
export const seenSecrets = (places: Iterable<Place>, secrets: Secrets): readonly string[] => {
  const wanted = [...secrets].map(([name, secret]) => ({ name, writings: writingsOf(secret) }));
  const seen = new Set<string>();
  for (const [where, text] of places)
    for (const { name, writings } of wanted)
      if (writings.some((one) => text.includes(one))) seen.add(`${name} was seen in ${where}`);
  return [...seen];
};

/** What an application said and was given to say it with. What must be said in clear is left out where it must be. */
export const placesInJuju = (
  { history, logs }: Pick<JujuModel, 'history' | 'logs'>,
  application: string,
  inClear: InClear,
): readonly Place[] => {
  const isOwn = ({ unit }: { readonly unit: string }): boolean => unit.startsWith(`${application}/`);
  return [
    ...history.filter(isOwn).flatMap((hook) => placesIn(hook, inClear)),
    ...logs.filter(isOwn).map(({ unit, message }): Place => [`the log of ${unit}`, message]),
  ];
};

const placesIn = ({ unit, hook, stdout, stderr, calls }: RanHook, inClear: InClear): readonly Place[] => {
  const at = `${hook} of ${unit}`;
  const environments = new Set(calls.map(({ environment }) => environment));
  return [
    [`the output of ${at}`, stdout + stderr],
    ...[...environments].map((one): Place => [`the environment of hook tools in ${at}`, one]),
    ...calls.flatMap(({ tool, args, input }): readonly Place[] => [
      [`arguments of ${tool} in ${at}`, args.join(' ')],
      ...(input === null
        ? []
        : [[`input of ${tool} in ${at}`, tool === 'relation-set' ? without(input, args, inClear) : input] as const]),
    ]),
  ];
};

const without = (input: string, args: readonly string[], inClear: InClear): string => {
  const [allowed = []] = [...inClear].flatMap(([id, some]) =>
    args.some((arg) => arg.endsWith(`:${id}`)) ? [some] : [],
  );
  return [...allowed].reduce((text, one) => text.replaceAll(one, '(in clear)'), input);
};
