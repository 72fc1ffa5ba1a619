/** What a charm's hooks came to: bags, charm state, secrets, logins, files. Without what may differ between two runs that are alike. */
import type { CharmFleet } from './charm-fleet.ts';
import { application } from './charm-fleet.ts';
import type { JujuModel } from './juju/juju-model.ts';

export const endStateOf = ({ juju, machine, postgres }: CharmFleet): unknown => {
  const files = unitsIn(juju).map((name) => {
    const { authFile, inis } = machine.diskOf(name);
    const runs = [1, 2].filter((instance) => machine.processOf(name, instance) !== null);
    return { name, authFile, inis: Object.fromEntries(inis), runs };
  });
  const logins = [...postgres.logins.values()].map(({ username }) => username).toSorted();
  return alike({ ...storedIn(juju), files, logins }, juju);
};

const unitsIn = (juju: JujuModel): readonly string[] =>
  juju.applications.has(application) ? juju.unitsOf(application).toSorted() : [];

/** What Juju keeps of it. */
export const storedIn = (juju: JujuModel): object => {
  const units = unitsIn(juju);
  return {
    bags: Object.fromEntries(
      [...juju.relations].map(([id, { bags }]) => [
        id,
        Object.fromEntries(
          [...bags]
            .filter(([member]) => member === application || units.includes(member))
            .toSorted(([a], [b]) => a.localeCompare(b))
            .map(([member, bag]) => [member, read(bag)]),
        ),
      ]),
    ),
    units: units.map((name) => {
      const { status, ports, state: kept } = juju.unit(name);
      return { name, status, ports: [...ports], kept: read(kept) };
    }),
    secrets: [...juju.secrets.values()]
      .filter(({ label }) => label !== sealKey)
      .map(({ label, owner, revisions, latest, grants }) => ({ label, owner, content: revisions.get(latest), grants }))
      .toSorted((a, b) => a.label.localeCompare(b.label)),
  };
};

const sealKey = 'troupe';

const read = (bag: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(bag)
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([key, value]) => [key, value.startsWith('{') ? JSON.parse(value) : value]),
  );

/** When, how often and by whose hand: not what. */
const moments: ReadonlySet<string> = new Set([
  'at',
  'since',
  'sinceWallMs',
  'author',
  'reason',
  'pid',
  'epoch',
  'digest',
  'generation',
  'applied',
  'intentVersion',
  'version',
  'covers',
  'fingerprint',
  '$sealed',
]);
const withoutMoments = (key: string, value: unknown): unknown =>
  moments.has(key) && value !== null ? `(${key})` : value;

/** Ids of secrets by their labels, minted passwords by the order in which they appear, no salts, and no mark of a generation in files. */
export const alike = (state: object, { secrets }: JujuModel): unknown => {
  const minted: string[] = [];
  const named = [...secrets.values()].reduce(
    (text, { xid, label }) => text.replaceAll(xid, `(${label})`),
    JSON.stringify(state, withoutMoments),
  );
  const text = named
    .replaceAll(/(password|verifier)-(\d+)/g, (_, what: string, number: string) => {
      if (!minted.includes(number)) minted.push(number);
      return `${what}-(${minted.indexOf(number)})`;
    })
    .replaceAll(/\\"(request-id|salt)\\":\\"[0-9a-f]{16}\\"/g, '($1)')
    .replaceAll(/-----BEGIN (CERTIFICATE REQUEST|PRIVATE KEY)-----.*?-----END \1-----(\\+n)*/g, '($1)')
    .replaceAll(/syslog_ident = troupe-\S+?\\n/g, '')
    .replaceAll(/"epoch":"\d+"/g, '"epoch":"(epoch)"');
  return JSON.parse(text);
};
