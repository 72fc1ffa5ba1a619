import type { Options } from '../../actors/model/intent.ts';
import type { UnitStatus } from '../../actors/model/status.ts';
import { unheededOptions, type UnheededOption } from '../../pgbouncer/catalogue.ts';
import { compareVersions, formatVersion, parseVersion } from '../../pgbouncer/version.ts';

/** An option, and the units whose PgBouncer is too old for it and leaves it out. */
export interface Unheeded extends UnheededOption {
  /** With the oldest version that runs there. */
  readonly units: readonly { readonly unit: string; readonly version: string }[];
}

/** A unit without a PgBouncer that runs says nothing about any. */
export const unheededIn = (options: Options, units: readonly UnitStatus[]): readonly Unheeded[] => {
  const found = units.flatMap(({ unit, instances }) => {
    const versions = instances.flatMap((instance) => {
      const version = instance.version === null ? null : parseVersion(instance.version);
      return version === null ? [] : [version];
    });
    const [oldest] = versions.toSorted(compareVersions);
    if (oldest === undefined) return [];
    return unheededOptions(options, oldest).map((one) => ({ ...one, unit, version: formatVersion(oldest) }));
  });
  return [...Map.groupBy(found, ({ key }) => key).values()].flatMap((group) =>
    group.slice(0, 1).map(({ key, needs }) => ({
      key,
      needs,
      units: group.map(({ unit, version }) => ({ unit, version })),
    })),
  );
};

export const unheededSentence = ({ key, needs, units }: Unheeded): string => {
  const named = units.slice(0, mostNamed).map(({ unit, version }) => `${unit} (PgBouncer ${version})`);
  const rest = units.length - named.length;
  return `${key} is not heeded by ${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}: it needs PgBouncer ${needs}; install that or a newer one there, or take the option back (troupe config --reset ${key})`;
};

const mostNamed = 4;
