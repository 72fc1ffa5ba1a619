import { pebbleWorkloadContract } from './workload-pebble.contract.ts';

await pebbleWorkloadContract('small', 0);
await pebbleWorkloadContract('small', 2);
