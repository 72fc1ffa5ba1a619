import type { Hook, Unit, Values } from './things.ts';

export interface AgentPlace {
  readonly modelName: string;
  readonly modelUuid: string;
  readonly version: string;
  readonly socket: string;
  /** Of the hook tools. */
  readonly tools: string;
}

/** All that a dispatch gets: nothing is inherited, not even HOME. */
export const environmentOf = (unit: Unit, hook: Hook, contextId: string, place: AgentPlace): Values => ({
  JUJU_DISPATCH_PATH: `${hook.action === null ? 'hooks' : 'actions'}/${hook.name}`,
  JUJU_HOOK_NAME: hook.action === null ? hook.name : '',
  JUJU_UNIT_NAME: unit.name,
  JUJU_MODEL_NAME: place.modelName,
  JUJU_MODEL_UUID: place.modelUuid,
  JUJU_VERSION: place.version,
  JUJU_CHARM_DIR: unit.charmDirectory,
  CHARM_DIR: unit.charmDirectory,
  JUJU_CONTEXT_ID: contextId,
  JUJU_AGENT_SOCKET_ADDRESS: place.socket,
  JUJU_AGENT_SOCKET_NETWORK: 'unix',
  JUJU_API_ADDRESSES: '127.0.0.1:17070',
  JUJU_MACHINE_ID: '',
  JUJU_PRINCIPAL_UNIT: '',
  JUJU_AVAILABILITY_ZONE: '',
  JUJU_SLA: 'unsupported',
  CLOUD_API_VERSION: '1.31.0',
  JUJU_CHARM_HTTP_PROXY: '',
  JUJU_CHARM_HTTPS_PROXY: '',
  JUJU_CHARM_FTP_PROXY: '',
  JUJU_CHARM_NO_PROXY: '127.0.0.1,localhost,::1',
  LANG: 'C.UTF-8',
  TERM: 'tmux-256color',
  DEBIAN_FRONTEND: 'noninteractive',
  APT_LISTCHANGES_FRONTEND: 'none',
  PATH: `${place.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  ...hook.environment,
});
