import type { UnitImage } from './images.ts';

/**
 * What the fleets of a test project run on, chosen in vitest.config.ts: the same tests run on each. Servers are named as in
 * `Provider`; units are processes of this machine, or each in a container of the image.
 */
export interface Ground {
  readonly redis: string;
  readonly postgres: string;
  readonly units: 'processes' | UnitImage;
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly ground: Ground;
  }
}

export const thisMachine: Ground = { redis: 'local Redis', postgres: 'local PostgreSQL', units: 'processes' };
export const containers: Ground = { redis: 'valkey/valkey:8', postgres: 'postgres:17', units: 'trixie' };
export const newestContainers: Ground = { redis: 'redis:8', postgres: 'postgres:17', units: 'forky' };
