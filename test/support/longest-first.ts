import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * What takes longest to shortest: the files that need most of a minute or more, whatever their size says. Whoever makes a test
 * that is as long puts it here, or the others have ended while it still runs alone.
 */
export const longest: readonly string[] = [
  'charm-lives-on',
  'charm-scales',
  'charm-serves-clients',
  'charm-survives-kills',
  'charm-counterparts',
  'postgres-interrupted',
  'juju-counterparts',
  'workload-pebble',
  'postgres',
  'charm-survives-failures',
  'charm-settles',
  'workload-local',
  'workload-pgbouncer-126',
  'workload-pgbouncer-124',
  'charm-real',
  'charm',
  'charm-is-watched',
  'charm-takes-over-survives',
];

/** For vitest's `sequence.sequencer`: long files begin first, so that none of them runs alone at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const bySize = await super.sort(files);
    return bySize.toSorted((one, other) => groupOf(one) - groupOf(other) || rankOf(one) - rankOf(other));
  }
}

/** Vitest runs one group after the other, and takes each in the order of its files. */
const groupOf = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;

const rankOf = ({ moduleId }: TestSpecification): number => {
  const rank = longest.indexOf(basename(moduleId, '.test.ts'));
  return rank === -1 ? longest.length : rank;
};
