import { describe } from 'vitest';
import { backplaneContract, sharedBackplaneContract } from './backplane.contract.ts';
import { embeddedFleet, memoryFleet } from './backplane-fleets.ts';
import { fencingContract } from './fencing.contract.ts';

describe('the backplane in memory', () => {
  describe('for each unit', () => backplaneContract(memoryFleet));
  describe('for units that share it', () => sharedBackplaneContract(memoryFleet));
  describe('fencing', () => fencingContract(memoryFleet));
});

describe('the embedded backplane', () => {
  describe('for its unit', () => backplaneContract(embeddedFleet));
});
