import { pebbleWorkloadContract } from './workload-pebble.contract.ts';

await pebbleWorkloadContract('real', 0);
await pebbleWorkloadContract('real', 1);
await pebbleWorkloadContract('real', 2);
