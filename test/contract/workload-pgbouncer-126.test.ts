import { processWorkloadContract } from './workload-process.contract.ts';

await processWorkloadContract(2);
