import type { PgBouncerVersion } from '../../src/actors/model/workload.ts';
import { MemoryWorkload } from '../../src/infra/memory/workload.ts';
import { MemoryMachine } from '../../src/infra/memory/workload-machine.ts';
import { type Machine, workloadContract } from './workload.contract.ts';

const machineOf = (version: PgBouncerVersion): Machine => {
  const machine = new MemoryMachine(version);
  let port = 6432;
  return {
    version,
    open: async (unit) => {
      const workload = new MemoryWorkload(machine, unit);
      return { workload, kill: () => workload[Symbol.asyncDispose]() };
    },
    freePort: async () => {
      port += 1;
      return port;
    },
    signal: (pid, signal) => machine.signal(pid, signal),
    isAlive: (pid) => machine.isAlive(pid),
    occupy: async (address, at) => asAsync(machine.occupy(address, at)),
    connect: async (_unit, address, at) => {
      const client = machine.connect('troupe_probe', address, at);
      if (client === null) throw new Error(`nobody listens at ${address}:${at}`);
      return asAsync(client);
    },
    [Symbol.asyncDispose]: async () => {},
  };
};

const asAsync = (held: Disposable): AsyncDisposable => ({ [Symbol.asyncDispose]: async () => held[Symbol.dispose]() });

for (const minor of [18, 26]) {
  workloadContract(`the machine in memory, as PgBouncer 1.${minor}`, async () =>
    machineOf({ major: 1, minor, patch: 0 }),
  );
}
