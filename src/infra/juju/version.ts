/** Version of the Juju agent that dispatched us. Tags (`-beta2`) and a build number (`3.6.9.1`) do not count. */
export type JujuVersion = readonly [major: number, minor: number, patch: number];

/** Null for what is no version: then no feature is counted on. */
export const parseJujuVersion = (text: string): JujuVersion | null => {
  const [, major, minor, patch = '0'] = /^(\d+)\.(\d+)(?:\.(\d+))?(?:[.-].*)?$/.exec(text) ?? [];
  return major === undefined || minor === undefined ? null : [Number(major), Number(minor), Number(patch)];
};

/** What this Juju can do. */
export interface JujuFeatures {
  readonly secrets: boolean;
  /** Its Pebble sends what services write to Loki. */
  readonly logForwarding: boolean;
  /** Single revisions of a secret may be removed: before, the removal could take other revisions with it. */
  readonly revisionRemoval: boolean;
}

export const featuresOf = (version: JujuVersion | null): JujuFeatures => {
  const since = (...oldest: JujuVersion): boolean => version !== null && isAtLeast(version, oldest);
  return {
    secrets: since(3, 0, 3),
    logForwarding: since(3, 4, 0),
    revisionRemoval: since(3, 6, 11),
  };
};

const isAtLeast = (version: JujuVersion, oldest: JujuVersion): boolean => {
  const at = version.findIndex((part, index) => part !== oldest[index]);
  return at === -1 || (version[at] ?? 0) > (oldest[at] ?? 0);
};
