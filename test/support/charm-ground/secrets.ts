/** The secrets of a ground, and where they were seen and must not be. */
import type { RanHook } from '../juju/hook-record.ts';
import type { JujuModel } from '../juju/juju-model.ts';
import type { Pod } from './pod.ts';

/** Secrets by a name for sentences. */
export type Secrets = ReadonlyMap<string, string>;

/** What lies in the container of a unit and is nobody else's business. */
export const secretsOn = async (unit: string, pod: Pod): Promise<Secrets> => {
  const secrets = new Map<string, string>();
  for (const [path, content] of await pod.files()) {
    if (path.endsWith('/logins.json'))
      for (const [, secret = ''] of content.matchAll(/password\W+([\w-]{16,})/g))
        secrets.set(`login ${secrets.size + 1} that ${unit} made for itself`, secret);
    // One line in the middle of it is enough to know it by.
    const [, line = ''] = /-----BEGIN [A-Z ]*PRIVATE KEY-----\n(\S{40})/.exec(content) ?? [];
    if (line !== '') secrets.set(`a private key of ${unit}`, line);
  }
  return secrets;
};

/** Sentences; none: nothing was seen. `inClear`: relations whose interface has no other way. */
export const seenSecrets = (
  { history, logs }: Pick<JujuModel, 'history' | 'logs'>,
  application: string,
  secrets: Secrets,
  inClear: readonly number[],
): readonly string[] => {
  const own = history.filter(({ unit }) => unit.startsWith(`${application}/`));
  const places = [
    ...own.flatMap((hook) => placesIn(hook, inClear)),
    ...logs
      .filter(({ unit }) => unit.startsWith(`${application}/`))
      .map(({ unit, message }) => [`the log of ${unit}`, message] as const),
  ];
  return [...secrets].flatMap(([name, secret]) =>
    places.flatMap(([place, text]) => (text.includes(secret) ? [`${name} was seen in ${place}`] : [])),
  );
};

type Seen = readonly [place: string, text: string];

const placesIn = ({ unit, hook, stdout, stderr, calls }: RanHook, inClear: readonly number[]): readonly Seen[] => {
  const at = `${hook} of ${unit}`;
  return [
    [`the output of ${at}`, stdout + stderr],
    ...calls.flatMap(({ tool, args, input }): readonly Seen[] => {
      const said = args.join(' ');
      const isAllowed = tool === 'relation-set' && inClear.some((id) => args.some((arg) => arg.endsWith(`:${id}`)));
      const isInput = !isAllowed && input !== null;
      return [
        [`arguments of ${tool} in ${at}`, said],
        ...(isInput ? [[`input of ${tool} in ${at}`, input] as const] : []),
      ];
    }),
  ];
};
