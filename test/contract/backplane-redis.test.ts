import { describe } from 'vitest';
import { redisServers, useServer } from '../support/servers.ts';
import { backplaneContract, sharedBackplaneContract } from './backplane.contract.ts';
import { redisFleet } from './backplane-fleets.ts';
import { fencingContract } from './fencing.contract.ts';

describe.each(redisServers())('the backplane on %s', (_, start) => {
  const server = useServer(start);
  const fleet = () => redisFleet(server());
  describe('for each unit', () => backplaneContract(fleet));
  describe('for units that share it', () => sharedBackplaneContract(fleet));
  describe('fencing', () => fencingContract(fleet));
});
