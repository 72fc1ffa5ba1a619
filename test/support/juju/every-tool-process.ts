/** A dispatch that uses every hook tool once a client has joined, and writes down what they said. */
import { writeFile } from 'node:fs/promises';
import { Secret } from '../../../src/actors/model/secret.ts';
import { dispatchedBy } from '../../../src/infra/juju/environment.ts';
import { toolsOnPath } from '../../../src/infra/juju/tool-process.ts';
import { ToolRefusal } from '../../../src/infra/juju/tool-refusal.ts';
import { createJujuTools, type JujuTools } from '../../../src/infra/juju/tools.ts';

const kindOf = async (asked: Promise<unknown>): Promise<string> => {
  try {
    await asked;
    return 'done';
  } catch (cause) {
    if (cause instanceof ToolRefusal) return cause.kind;
    throw cause;
  }
};

const everything = async (tools: JujuTools, id: number): Promise<object> => {
  const relation = { endpoint: 'database', id };
  await tools.writeBag(relation, 'application', { odd: 'it\'s "so"\n🐘' });
  const label = 'troupe';
  const secret = await tools.secretAdd({ owner: 'application', label, content: { password: new Secret('p') } });
  await tools.secretGrant(secret, relation);
  await tools.secretSet(secret, 'application', { password: new Secret('p'), other: new Secret('swordfish') });
  await tools.stateSet({ memory: 'x'.repeat(60_000), gone: 'x' });
  await tools.stateDelete('gone');
  await tools.openPort(6432);
  await tools.openPort(6433);
  await tools.closePort(6433);
  await tools.setStatus('unit', 'active', '-said');
  await tools.setStatus('application', 'waiting', 'for nothing');
  await tools.setVersion('1.26.0');
  await tools.log('WARNING', '--logged');
  const info = await tools.secretInfo({ label });
  const network = await tools.network('database');
  return {
    isLeader: await tools.isLeader(),
    config: await tools.config(),
    relationIds: await tools.relationIds('database'),
    relationUnits: await tools.relationUnits(relation),
    remoteApplication: await tools.remoteApplication(relation),
    relationModel: await tools.relationModel(relation),
    ownBag: await tools.readBag(relation, 'shell', 'application'),
    goneBag: await tools.readBag({ endpoint: 'database', id: 9_999 }, 'app', 'application'),
    secret: (await tools.secretGet({ label }, 'refresh'))?.['password']?.reveal(),
    info: info && { revision: info.revision, label: info.label, owner: info.owner },
    noSecret: await tools.secretGet({ label: 'nothing' }),
    forbidden: await kindOf(tools.actionParameters()),
    state: await tools.stateGet(),
    ports: await tools.openedPorts(),
    network: network && {
      bindAddresses: network.bindAddresses.length,
      ingressAddresses: network.ingressAddresses.length,
      egressSubnets: network.egressSubnets.length,
    },
    noNetwork: await tools.network('nothing'),
    goalUnits: Object.keys((await tools.goalState()).units),
    missing: await kindOf(tools.actionSet({ a: 'b' })),
  };
};

const { event } = dispatchedBy(process.env);
if (event.type === 'relationJoined' && event.relation.endpoint === 'database') {
  const said = await everything(createJujuTools(toolsOnPath(process.env, 30_000)), event.relation.id);
  await writeFile('said.json', JSON.stringify(said));
}
