/** The hook tools: each gets its arguments and answers as Juju's does. */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { ToolAnswer, ToolRequest } from './agent-socket.ts';
import { Flags, ToolFault } from './flags.ts';
import type { HookContext } from './hook-context.ts';
import { locationOf } from './next-hook.ts';
import { secretTools } from './secret-tools.ts';
import { meantBy, remoteSideOf, seenBy, type Values } from './things.ts';
import type { Tool, ToolHelp } from './tool.ts';

export const answerTool = async (
  context: HookContext,
  request: ToolRequest,
  log: ToolHelp['log'],
): Promise<ToolAnswer> => {
  const tool = tools[request.tool];
  if (tool === undefined) return { code: 1, stdout: '', stderr: `ERROR unknown command "${request.tool}"\n` };
  try {
    const help = { directory: request.directory, input: () => request.input(), print, log };
    return { code: 0, stdout: await tool(context, request.args, help), stderr: '' };
  } catch (cause) {
    if (!(cause instanceof ToolFault)) throw cause;
    return { code: cause.code, stdout: '', stderr: `ERROR ${cause.message}\n` };
  }
};

/** `smart`: text as it is, truth as Python writes it, lists a line each, maps as YAML. */
const print = (value: unknown, format: string): string => {
  if (format === 'json') return `${JSON.stringify(value)}\n`;
  // Readers of YAML 1.1 refuse a block that is not indented, and a whole document would not be.
  if (format === 'yaml') return value === null ? '' : stringify(value, { blockQuote: typeof value !== 'string' });
  if (format !== 'smart')
    throw new ToolFault(`invalid value "${format}" for option --format: unknown format "${format}"`, 2);
  if (value === null || value === '') return '';
  if (typeof value === 'boolean') return value ? 'True\n' : 'False\n';
  if (Array.isArray(value)) return value.map((item) => `${String(item)}\n`).join('');
  return typeof value === 'object' ? stringify(value) : `${String(value as string | number)}\n`;
};

const output = ['format', 'o', 'output'];
const formatOf = (flags: Flags, usual = 'smart'): string => flags.value('format') ?? usual;

const isLeaderTool: Tool = async (context, args, { print: printed }) =>
  printed(context.isLeader(), formatOf(new Flags(args, { values: output })));

const relationTools: Readonly<Record<string, Tool>> = {
  'relation-ids': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output });
    const endpoint = flags.rest[0] ?? context.hook.environment['JUJU_RELATION'];
    if (endpoint === undefined) throw new ToolFault('no endpoint name specified', 2);
    const ids = context.relationsOf(endpoint).map(({ id }) => `${endpoint}:${id}`);
    return printed(ids.toSorted(), formatOf(flags));
  },

  'relation-list': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: ['r', 'relation', ...output], switches: ['app'] });
    const relation = context.relationOf(flags.value('r', 'relation'));
    const seen = (name: string): string => seenBy(context.application, relation, name);
    if (flags.isOn('app'))
      return printed(seen(remoteSideOf(relation, context.application).application.name), formatOf(flags));
    return printed(context.membersOf(relation).map(seen), formatOf(flags));
  },

  'relation-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: ['r', 'relation', ...output], switches: ['app'] });
    const relation = context.relationOf(flags.value('r', 'relation'));
    const [key = '-', named] = flags.rest;
    const member = named ?? memberOfHook(context, flags.isOn('app'));
    if (member === undefined) throw new ToolFault('no unit or application specified', 2);
    if (!flags.isOn('app') && !member.includes('/'))
      throw new ToolFault(`expected unit name, got application name "${member}"`, 2);
    const meant = meantBy(context.application, relation, member);
    const bag = flags.isOn('app')
      ? context.readApplicationBag(relation, meant.replace(/\/\d+$/, ''))
      : context.readUnitBag(relation, meant);
    return printed(key === '-' ? bag : (bag[key] ?? null), formatOf(flags));
  },

  'relation-set': async (context, args, { directory, input }) => {
    const flags = new Flags(args, { values: ['r', 'relation', 'file'], switches: ['app'] });
    const relation = context.relationOf(flags.value('r', 'relation'));
    const changes = await pairsOf(flags, directory, input);
    context.stageBag(relation, flags.isOn('app') ? 'application' : 'unit', changes);
    return '';
  },

  'relation-model-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: ['r', 'relation', ...output] });
    const { abroad } = context.relationOf(flags.value('r', 'relation'));
    const isRemote = abroad !== null && abroad.application !== context.application;
    return printed({ uuid: isRemote ? abroad.model : context.store.uuid }, formatOf(flags));
  },
};

const memberOfHook = ({ hook }: HookContext, ofApplication: boolean): string | undefined =>
  hook.relation === null
    ? undefined
    : (hook.relation.remoteUnit ?? (ofApplication ? hook.environment['JUJU_REMOTE_APP'] : undefined));

/** Of `--file` first, then `k=v` over them. */
const pairsOf = async (flags: Flags, directory: string, input: () => Promise<string>): Promise<Values> => {
  const file = flags.value('file');
  const pairs = flags.rest.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new ToolFault(`expected "key=value", got "${pair}"`, 2);
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  const text =
    file === undefined
      ? ''
      : file === '-'
        ? await input()
        : await readFile(isAbsolute(file) ? file : join(directory, file), 'utf8');
  return { ...textsOf(text), ...Object.fromEntries(pairs) };
};

/** As go-yaml reads it: no raw DEL or C1 controls, and the line ends of Unicode are line ends. */
const textsOf = (yaml: string): Values => {
  if (/[\u007f-\u0084\u0086-\u009f]/.test(yaml)) throw new ToolFault('yaml: control characters are not allowed');
  const parsed: unknown = parse(yaml.replaceAll(/[\u0085\u2028\u2029]/g, '\n')) ?? {};
  if (typeof parsed !== 'object' || parsed === null) throw new ToolFault('expected a map of settings');
  return Object.fromEntries(
    Object.entries(parsed).map(([key, value]) => {
      if (typeof value !== 'string') throw new ToolFault(`cannot parse setting "${key}": not a text`);
      return [key, value];
    }),
  );
};

const stateTools: Readonly<Record<string, Tool>> = {
  'state-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output, switches: ['strict'] });
    const [key = '-'] = flags.rest;
    if (key === '-') return printed(Object.keys(context.state).length === 0 ? null : context.state, formatOf(flags));
    const value = context.state[key];
    if (value === undefined && flags.isOn('strict')) throw new ToolFault(`"${key}" not found`);
    return printed(value ?? '', formatOf(flags));
  },
  'state-set': async (context, args, { directory, input }) => {
    const changes = await pairsOf(new Flags(args, { values: ['file'] }), directory, input);
    context.state = { ...context.state, ...changes };
    return '';
  },
  'state-delete': async (context, args) => {
    const [key] = new Flags(args, {}).rest;
    context.state = Object.fromEntries(Object.entries(context.state).filter(([name]) => name !== key));
    return '';
  },
};

const statusWords = ['maintenance', 'blocked', 'waiting', 'active'];
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'];

const unitTools: Readonly<Record<string, Tool>> = {
  'is-leader': isLeaderTool,
  'leader-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output });
    const [key = '-'] = flags.rest;
    const settings = context.unit.application.leaderSettings;
    return printed(key === '-' ? settings : (settings[key] ?? null), formatOf(flags));
  },
  'leader-set': async (context, args, { directory, input }) => {
    const changes = await pairsOf(new Flags(args, { values: ['file'] }), directory, input);
    if (!context.isLeader()) throw new ToolFault('cannot write leadership settings: not the leader');
    const { application } = context.unit;
    application.leaderSettings = { ...application.leaderSettings, ...changes };
    return '';
  },
  'config-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output, switches: ['all', 'a'] });
    const [key] = flags.rest;
    return printed(key === undefined ? context.options : (context.options[key] ?? null), formatOf(flags));
  },
  'status-set': async (context, args) => {
    const flags = new Flags(args, { switches: ['application'] });
    const [word = '', message = ''] = flags.rest;
    if (!statusWords.includes(word))
      throw new ToolFault(`invalid status "${word}", expected one of [${statusWords.join(' ')}]`, 2);
    if (!flags.isOn('application')) context.unit.status = { word, message };
    else if (context.isLeader()) context.unit.application.status = { word, message };
    else throw new ToolFault('setting application status: this unit is not the leader');
    return '';
  },
  'status-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output, switches: ['application', 'include-data'] });
    const told = ({ word, message }: { readonly word: string; readonly message: string }): object => ({
      status: word,
      message,
      'status-data': {},
    });
    const { unit } = context;
    if (!flags.isOn('application'))
      return printed(flags.isOn('include-data') ? told(unit.status) : unit.status.word, formatOf(flags));
    if (!context.isLeader()) throw new ToolFault('this unit is not the leader');
    const units = Object.fromEntries(
      [...unit.application.units.values()].map((each) => [each.name, told(each.status)]),
    );
    const status = told(unit.application.status ?? { word: 'unknown', message: '' });
    return printed({ 'application-status': { ...status, units } }, formatOf(flags));
  },
  'application-version-set': async (context, args) => {
    context.unit.application.version = new Flags(args, {}).rest[0] ?? '';
    return '';
  },
  'juju-log': async (context, args, { log }) => {
    const flags = new Flags(args, { values: ['l', 'log-level', 'format'], switches: ['debug'] });
    const asked = flags.isOn('debug') ? 'DEBUG' : (flags.value('l', 'log-level') ?? 'INFO').toUpperCase();
    const relation = context.hook.environment['JUJU_RELATION_ID'];
    const message = `${relation === undefined ? '' : `${relation}: `}${flags.rest.join(' ')}`;
    log({ unit: context.unit.name, level: levels.includes(asked) ? asked : 'INFO', message });
    return '';
  },
  'goal-state': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output });
    const since = context.store.now().toISOString().replace('T', ' ').replace(/\..*/, 'Z');
    const { unit } = context;
    const units = Object.fromEntries(
      [...unit.application.units.values()]
        .filter(({ life }) => life !== 'dead')
        .map((each) => [each.name, { status: each.life === 'dying' ? 'dying' : each.status.word, since }]),
    );
    const relations: Record<string, Record<string, object>> = {};
    for (const endpoint of unit.application.charm.endpoints.keys()) {
      for (const relation of context.relationsOf(endpoint)) {
        const remote = remoteSideOf(relation, context.application).application;
        const told = (relations[endpoint] ??= {});
        told[seenBy(context.application, relation, remote.name)] = {
          status: relation.dying ? 'dying' : 'joined',
          since,
        };
        for (const each of remote.units.values())
          told[seenBy(context.application, relation, each.name)] = {
            status: each.life === 'alive' ? 'active' : 'dying',
            since,
          };
      }
    }
    return printed({ units, relations }, formatOf(flags, 'yaml'));
  },
  'network-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, {
      values: ['r', 'relation', ...output],
      switches: ['ingress-address', 'bind-address', 'egress-subnets', 'primary-address'],
    });
    const [endpoint = ''] = flags.rest;
    const { address, application } = context.unit;
    if (!application.charm.endpoints.has(endpoint))
      throw new ToolFault(`no network config found for binding "${endpoint}"`);
    return printed(
      {
        'bind-addresses': [
          { 'mac-address': '', 'interface-name': '', addresses: [{ hostname: '', value: address, cidr: '' }] },
        ],
        'egress-subnets': [`${address}/32`],
        'ingress-addresses': [address],
      },
      formatOf(flags),
    );
  },
  'unit-get': async (context, args, { print: printed }) =>
    printed(context.unit.address, formatOf(new Flags(args, { values: output }))),
  'open-port': async (context, args) => {
    context.ports = new Set([...context.ports, portOf(args)]);
    return '';
  },
  'close-port': async (context, args) => {
    const closed = portOf(args);
    context.ports = new Set([...context.ports].filter((port) => port !== closed));
    return '';
  },
  'opened-ports': async (context, args, { print: printed }) =>
    printed([...context.ports].toSorted(), formatOf(new Flags(args, { values: output, switches: ['endpoints'] }))),
  'storage-list': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output });
    const [name] = flags.rest;
    const ids = attachedTo(context).filter((id) => name === undefined || id.startsWith(`${name}/`));
    return printed(ids, formatOf(flags));
  },
  'storage-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: ['s', ...output] });
    const id = flags.value('s') ?? context.hook.environment['JUJU_STORAGE_ID'] ?? '';
    if (!attachedTo(context).includes(id)) throw new ToolFault(`storage "${id}" not found`);
    const told = {
      kind: context.unit.application.charm.storages.get(id.slice(0, id.lastIndexOf('/'))),
      location: locationOf(id),
    };
    const [key] = flags.rest;
    return printed(key === 'kind' || key === 'location' ? told[key] : told, formatOf(flags));
  },
};

/** The one that the hook is about included. */
const attachedTo = ({ unit, hook }: HookContext): readonly string[] =>
  [...unit.storages].flatMap(([id, { life }]) =>
    life === 'attached' || hook.environment['JUJU_STORAGE_ID'] === id ? [id] : [],
  );

const portOf = (args: readonly string[]): string => {
  const [given = ''] = new Flags(args, { values: ['endpoints', 'format'] }).rest;
  if (/^\d+-\d+(\/|$)/.test(given)) throw new ToolFault('port ranges are not supported for k8s applications');
  const [, port, protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(given) ?? [];
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new ToolFault(`invalid port "${given}"`, 2);
  return `${port}/${protocol}`;
};

const actionOf = (context: HookContext): NonNullable<HookContext['hook']['action']> => {
  if (context.hook.action === null) throw new ToolFault('not running an action');
  return context.hook.action;
};
const reserved = ['stdout', 'stdout-encoding', 'stderr', 'stderr-encoding'];
const resultKey = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

const actionTools: Readonly<Record<string, Tool>> = {
  'action-get': async (context, args, { print: printed }) => {
    const flags = new Flags(args, { values: output });
    const { parameters } = actionOf(context);
    const found = (flags.rest[0]?.split('.') ?? []).reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null
          ? Object.entries(value).find(([name]) => name === key)?.[1]
          : undefined,
      parameters,
    );
    return printed(found ?? null, formatOf(flags));
  },
  'action-set': async (context, args) => {
    actionOf(context);
    for (const pair of new Flags(args, {}).rest) {
      const at = pair.indexOf('=');
      const path = pair.slice(0, at).split('.');
      if (at < 1) throw new ToolFault(`argument "${pair}" must be of the form key...=value`, 2);
      if (reserved.includes(path[0] ?? '')) throw new ToolFault(`cannot set reserved action key "${path[0] ?? ''}"`, 2);
      const faulty = path.find((key) => !resultKey.test(key));
      if (faulty !== undefined)
        throw new ToolFault(
          `key "${faulty}" must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric and hyphens`,
          2,
        );
      place(context.results, path, pair.slice(at + 1));
    }
    return '';
  },
  'action-fail': async (context, args) => {
    actionOf(context);
    context.actionFailure =
      new Flags(args, {}).rest[0] ?? 'action failed without reason given, check action for errors';
    return '';
  },
  'action-log': async (context, args, { log }) => {
    actionOf(context);
    log({ unit: context.unit.name, level: 'ACTION', message: new Flags(args, {}).rest.join(' ') });
    return '';
  },
};

const place = (results: Record<string, unknown>, [key = '', ...deeper]: readonly string[], value: string): void => {
  if (deeper.length === 0) {
    results[key] = value;
    return;
  }
  const inner = results[key];
  const nested: Record<string, unknown> = typeof inner === 'object' && inner !== null ? { ...inner } : {};
  place(nested, deeper, value);
  results[key] = nested;
};

const tools: Readonly<Record<string, Tool>> = {
  ...unitTools,
  ...relationTools,
  ...stateTools,
  ...secretTools,
  ...actionTools,
};

/** What a Juju of this version has. */
export const toolsOf = ([major, minor, patch]: readonly [number, number, number]): readonly string[] =>
  Object.keys(tools).filter((tool) => {
    if (tool.startsWith('secret-')) return major >= 3;
    if (tool.startsWith('leader-')) return major < 4;
    if (tool === 'relation-model-get') return major > 3 || (major === 3 && (minor > 6 || (minor === 6 && patch >= 2)));
    return true;
  });
