import { isAlive } from '../../src/infra/files/process-mark.ts';
import type { Offer } from './test-server.ts';

/**
 * Which of our images the Docker engine of this machine has or can get. Images are fetched here, once, where a refusal
 * becomes a sentence instead of a failed test.
 */
export const engineServers = async (labels: Readonly<Record<string, string>>): Promise<Offer> => {
  const { getContainerRuntimeClient, ImageName } = await import('testcontainers');
  const client = await getContainerRuntimeClient().catch(() => undefined);
  const { containerServers } = await import('./container-servers.ts');
  if (client === undefined) {
    const names = containerServers(labels)
      .map(({ name }) => name)
      .join(', ');
    return lacking(
      `no Docker engine answers: left out is what runs on ${names}, and all of "npm run test:containers" and "npm run test:e2e"`,
    );
  }
  const offers = await Promise.all(
    containerServers(labels).map(async (provider): Promise<Offer> => {
      try {
        await client.image.pull(ImageName.fromString(provider.name), { force: false, platform: undefined });
        return { providers: [provider], lacks: [] };
      } catch (cause) {
        return lacking(`the Docker engine cannot get the image ${provider.name}: ${String(cause)}`);
      }
    }),
  );
  return { providers: offers.flatMap(({ providers }) => providers), lacks: offers.flatMap(({ lacks }) => lacks) };
};

/** Containers of a test run that was killed: nobody else removes them. */
export const removeForsakenContainers = async (): Promise<void> => {
  const { getContainerRuntimeClient } = await import('testcontainers');
  const { ownerLabel, ownerOf } = await import('./container-owner.ts');
  const client = await getContainerRuntimeClient().catch(() => undefined);
  const found =
    (await client?.container.dockerode.listContainers({ all: true, filters: { label: [ownerLabel] } })) ?? [];
  for (const { Id, Labels } of found) {
    const owner = ownerOf(Labels[ownerLabel]);
    if (owner === null || !isAlive(owner)) await client?.container.getById(Id).remove({ force: true, v: true });
  }
};

const lacking = (sentence: string): Offer => ({ providers: [], lacks: [sentence] });
