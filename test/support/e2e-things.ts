/**
 * What end-to-end tests make in the Docker engine: projects of compose, each with a name that tells whose it is. Nothing
 * else removes what a run leaves.
 */
import { randomBytes } from 'node:crypto';
import { getContainerRuntimeClient } from 'testcontainers';
import type { ProcessMark } from '../../src/infra/files/process-mark.ts';

export interface Thing {
  readonly name: string;
  remove(): Promise<unknown>;
}

/** For `docker compose --project-name`, or as the value of the same label. */
export const newProject = ({ pid, startedAt, bootId }: ProcessMark): string =>
  `troupe-e2e-${pid}-${startedAt}-${bootId.replaceAll('-', '')}-${randomBytes(3).toString('hex')}`;

export const projectLabel = 'com.docker.compose.project';

/** Containers first: they hold the others. */
export const ownedThings = async (isWanted: (owner: ProcessMark) => boolean): Promise<readonly Thing[]> => {
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const labelled = { all: true, filters: { label: [projectLabel] } };
  const isOurs = ({ Labels }: { Labels?: Record<string, string> | undefined }): boolean => {
    const owner = ownerOf(Labels?.[projectLabel] ?? '');
    return owner !== null && isWanted(owner);
  };
  const containers = (await dockerode.listContainers(labelled)).filter(isOurs);
  const networks = (await dockerode.listNetworks(labelled)).filter(isOurs);
  const volumes = ((await dockerode.listVolumes(labelled)).Volumes ?? []).filter(isOurs);
  return [
    ...containers.map(({ Id, Names }) => ({
      name: `container ${Names[0]}`,
      remove: () => dockerode.getContainer(Id).remove({ force: true, v: true }),
    })),
    ...networks.map(({ Id, Name }) => ({ name: `network ${Name}`, remove: () => dockerode.getNetwork(Id).remove() })),
    ...volumes.map(({ Name }) => ({ name: `volume ${Name}`, remove: () => dockerode.getVolume(Name).remove() })),
  ];
};

export const removeThings = async (things: readonly Thing[]): Promise<void> => {
  for (const thing of things) await thing.remove();
};

const ownerOf = (project: string): ProcessMark | null => {
  const [, pid, startedAt, boot = ''] = /^troupe-e2e-(\d+)-(\d+)-([0-9a-f]{32})-/.exec(project) ?? [];
  if (pid === undefined) return null;
  const bootId = boot.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { pid: Number(pid), startedAt: Number(startedAt), bootId };
};
