import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { xidOf } from '../../../src/infra/juju/secret-id.ts';
import { Flags, ToolFault } from './flags.ts';
import { type HookContext, secretIn } from './hook-context.ts';
import { meantBy, remoteSideOf, type SecretThing, type Values } from './things.ts';
import type { Tool } from './tool.ts';

const about = { values: ['label', 'description', 'expire', 'rotate', 'owner', 'file'] };

export const secretTools: Readonly<Record<string, Tool>> = {
  'secret-add': async (context, args, { directory }) => {
    const flags = new Flags(args, about);
    const content = await contentOf(flags.rest, flags.value('file'), directory);
    if (content === null) throw new ToolFault('missing secret value', 2);
    const kind = ownerKind(flags.value('owner') ?? 'application');
    refuseFollower(context, kind);
    const owner = { kind, name: kind === 'unit' ? context.unit.name : context.application };
    const label = flags.value('label') ?? '';
    if (label !== '' && ownedWithLabel(context, label, owner.name) !== undefined)
      throw new ToolFault(`secret with label "${label}" already exists`);
    const xid = context.store.newXid();
    const description = flags.value('description') ?? '';
    const secret: SecretThing = {
      xid,
      owner,
      label,
      description,
      revisions: new Map([[1, content]]),
      latest: 1,
      ...timesIn(flags, context),
      toldObsolete: new Set(),
      grants: [],
      consumers: new Map(),
    };
    context.secretChanges.push({ type: 'add', secret });
    return `secret:${xid}\n`;
  },

  'secret-set': async (context, args, { directory }) => {
    const flags = new Flags(args, about);
    const [id, ...pairs] = flags.rest;
    if (id === undefined) throw new ToolFault('missing secret URI', 2);
    const content = await contentOf(pairs, flags.value('file'), directory);
    const secret = secretIn(context, xidOf(id));
    if (secret?.owner.kind === 'application') refuseFollower(context, 'application');
    const label = flags.value('label') ?? null;
    if (label !== null && secret !== undefined) {
      const other = ownedWithLabel(context, label, secret.owner.name);
      if (other !== undefined && other.xid !== secret.xid)
        throw new ToolFault(`secret with label "${label}" already exists`);
    }
    // An unknown or foreign id is found out when the hook ends.
    const description = flags.value('description') ?? null;
    context.secretChanges.push({
      type: 'set',
      xid: xidOf(id),
      content,
      label,
      description,
      ...timesIn(flags, context),
    });
    return '';
  },

  'secret-get': async (context, args, { print }) => {
    const flags = new Flags(args, {
      values: ['label', 'format', 'o', 'output'],
      switches: ['refresh', 'peek', 'update'],
    });
    if (flags.isOn('refresh') && flags.isOn('peek'))
      throw new ToolFault('specify one of --peek or --refresh but not both', 2);
    const [id, key] = flags.rest;
    const label = flags.value('label');
    if (id === undefined && label === undefined) throw new ToolFault('require either a secret URI or label', 2);
    const secret = id === undefined ? byLabel(context, label ?? '') : secretIn(context, xidOf(id));
    if (secret === undefined)
      throw new ToolFault(
        id === undefined ? `consumer label "${label ?? ''}" not found` : `secret "${xidOf(id)}" not found`,
      );
    const content = readSecret(context, secret, id === undefined ? undefined : label, {
      refresh: flags.isOn('refresh'),
      peek: flags.isOn('peek'),
    });
    if (key === undefined) return print(content, flags.value('format') ?? 'yaml');
    const value = content[key];
    if (value === undefined) throw new ToolFault(`secret key "${key}" not found`);
    return print(value, flags.value('format') ?? 'yaml');
  },

  'secret-info-get': async (context, args, { print }) => {
    const flags = new Flags(args, { values: ['label', 'format', 'o', 'output'] });
    const [id] = flags.rest;
    const label = flags.value('label');
    if ((id === undefined) === (label === undefined)) throw new ToolFault('require either a secret URI or label', 2);
    const secret =
      id === undefined
        ? (ownedWithLabel(context, label ?? '', context.application) ??
          ownedWithLabel(context, label ?? '', context.unit.name))
        : secretIn(context, xidOf(id));
    const named = id === undefined ? (label ?? '') : xidOf(id);
    if (secret === undefined || !owns(context, secret)) throw new ToolFault(`secret "${named}" not found`);
    const pending = context.secretChanges.flatMap((change) =>
      change.type === 'set' && change.xid === secret.xid && change.label !== null ? [change.label] : [],
    );
    return print(
      {
        [secret.xid]: {
          revision: secret.latest,
          label: pending.at(-1) ?? secret.label,
          ...(secret.description === '' ? {} : { description: secret.description }),
          owner: secret.owner.kind,
          rotation: nameOfPeriod(secret.rotation?.periodMs ?? 0),
          ...(secret.rotation === null || secret.rotation.dueAt === never
            ? {}
            : { rotates: new Date(secret.rotation.dueAt).toISOString() }),
          ...(secret.expiry === null ? {} : { expiry: new Date(secret.expiry.at).toISOString() }),
        },
      },
      flags.value('format') ?? 'yaml',
    );
  },

  'secret-ids': async (context, args, { print }) => {
    const flags = new Flags(args, { values: ['format', 'o', 'output'] });
    const ids = [...context.store.secrets.values()].flatMap((secret) => {
      const isApplications = secret.owner.kind === 'application' && secret.owner.name === context.application;
      return secret.owner.name === context.unit.name || (isApplications && context.isLeader()) ? [secret.xid] : [];
    });
    return print(ids.length === 0 ? null : ids.toSorted(), flags.value('format') ?? 'smart');
  },

  'secret-grant': async (context, args) => {
    const flags = new Flags(args, { values: ['relation', 'r', 'unit'] });
    const secret = managed(context, flags.rest[0]);
    const given = flags.value('relation', 'r');
    if (given === undefined) throw new ToolFault('missing relation', 2);
    const relation = context.relationOf(given);
    if (relation.abroad?.application === context.application) throw new ToolFault('permission denied'); // The offering side alone may.
    const remote = remoteSideOf(relation, context.application).application.name;
    const to = meantBy(context.application, relation, flags.value('unit') ?? remote);
    const other = secret.grants.find((grant) => grant.relation === relation.id && grant.to !== to);
    if (other !== undefined)
      throw new ToolFault('any unit level grants and an application level grant cannot be mixed');
    context.secretChanges.push({ type: 'grant', xid: secret.xid, relation: relation.id, to });
    return '';
  },

  'secret-revoke': async (context, args) => {
    const flags = new Flags(args, { values: ['relation', 'r', 'app', 'application', 'unit'] });
    const secret = managed(context, flags.rest[0]);
    const given = flags.value('relation', 'r');
    const relation = given === undefined ? null : context.relationOf(given).id;
    const to = flags.value('unit') ?? flags.value('app', 'application') ?? null;
    if (relation === null && to === null) throw new ToolFault('missing application or relation or unit', 2);
    context.secretChanges.push({
      type: 'revoke',
      xid: secret.xid,
      from: (grant) => (to === null || grant.to === to) && (relation === null || grant.relation === relation),
    });
    return '';
  },

  'secret-remove': async (context, args) => {
    const flags = new Flags(args, { values: ['revision'] });
    const secret = managed(context, flags.rest[0]);
    const revision = flags.value('revision');
    context.secretChanges.push({
      type: 'remove',
      xid: secret.xid,
      revision: revision === undefined ? null : Number(revision),
    });
    return '';
  },
};

const never = Number.POSITIVE_INFINITY;
const dayMs = 86_400_000;
const periods: ReadonlyMap<string, number> = new Map([
  ['never', 0],
  ['hourly', dayMs / 24],
  ['daily', dayMs],
  ['weekly', 7 * dayMs],
  ['monthly', 30 * dayMs],
  ['quarterly', 91 * dayMs],
  ['yearly', 365 * dayMs],
]);
const nameOfPeriod = (ms: number): string => [...periods].find(([, period]) => period === ms)?.[0] ?? 'never';

const timesIn = (flags: Flags, { store }: HookContext): Pick<SecretThing, 'rotation' | 'expiry'> => {
  const [rotate, expire] = [flags.value('rotate'), flags.value('expire')];
  const now = store.now().getTime();
  const periodMs = periods.get(rotate ?? 'never');
  if (periodMs === undefined) throw new ToolFault(`rotate policy "${rotate ?? ''}" not valid`, 2);
  return {
    rotation: rotate === undefined ? null : { periodMs, dueAt: periodMs === 0 ? never : now + periodMs, told: -1 },
    expiry: expire === undefined ? null : { at: momentOf(expire, now), told: -1 },
  };
};

/** `168h`, `30m`, or as RFC 3339 writes it. */
const momentOf = (text: string, now: number): number => {
  const [, count, unit] = /^(\d+)([hms])$/.exec(text) ?? [];
  const at =
    count === undefined ? Date.parse(text) : now + Number(count) * { h: 3_600_000, m: 60_000, s: 1_000 }[unit as 'h'];
  if (Number.isNaN(at) || at < now) throw new ToolFault(`expire time or duration "${text}" not valid`, 2);
  return at;
};

const ownerKind = (owner: string): 'application' | 'unit' => {
  if (owner !== 'application' && owner !== 'unit') throw new ToolFault(`secret owner "${owner}" not valid`, 2);
  return owner;
};

const refuseFollower = (context: HookContext, kind: 'application' | 'unit'): void => {
  if (kind === 'application' && !context.isLeader()) throw new ToolFault('this unit is not the leader');
};

const isRemoved = (context: HookContext, xid: string): boolean =>
  context.secretChanges.some((change) => change.type === 'remove' && change.xid === xid && change.revision === null);

const all = (context: HookContext): readonly SecretThing[] =>
  [
    ...context.store.secrets.values(),
    ...context.secretChanges.flatMap((change) => (change.type === 'add' ? [change.secret] : [])),
  ].filter(({ xid }) => !isRemoved(context, xid));

const labelOf = (context: HookContext, secret: SecretThing): string =>
  context.secretChanges
    .flatMap((change) =>
      change.type === 'set' && change.xid === secret.xid && change.label !== null ? [change.label] : [],
    )
    .at(-1) ?? secret.label;

const ownedWithLabel = (context: HookContext, label: string, owner: string): SecretThing | undefined =>
  all(context).find(
    (secret) => secret.owner.name === owner && secret.owner.kind !== 'user' && labelOf(context, secret) === label,
  );

const owns = (context: HookContext, secret: SecretThing): boolean =>
  secret.owner.name === context.unit.name ||
  (secret.owner.kind === 'application' && secret.owner.name === context.application);

const byLabel = (context: HookContext, label: string): SecretThing | undefined =>
  ownedWithLabel(context, label, context.unit.name) ??
  ownedWithLabel(context, label, context.application) ??
  all(context).find((secret) => secret.consumers.get(context.unit.name)?.label === label);

/** To change it one must own it; of an application's secret, lead. */
const managed = (context: HookContext, id: string | undefined): SecretThing => {
  if (id === undefined) throw new ToolFault('missing secret URI', 2);
  const secret = secretIn(context, xidOf(id));
  if (secret === undefined || isRemoved(context, secret.xid)) throw new ToolFault(`secret "${xidOf(id)}" not found`);
  if (!owns(context, secret)) throw new ToolFault('permission denied');
  refuseFollower(context, secret.owner.kind === 'unit' ? 'unit' : 'application');
  return secret;
};

const readSecret = (
  context: HookContext,
  secret: SecretThing,
  newLabel: string | undefined,
  how: { readonly refresh: boolean; readonly peek: boolean },
): Values => {
  const ours = owns(context, secret);
  if (isRemoved(context, secret.xid)) throw new ToolFault(`secret "${secret.xid}" not found`);
  if (!ours && !mayRead(context, secret)) throw new ToolFault('permission denied');
  const [major, minor, patch] = context.store.version;
  const tracksOwners = major > 3 || minor > 3 || (minor === 3 && patch >= 1) || (minor === 1 && patch >= 7);
  if (ours && !tracksOwners) {
    if (how.refresh || how.peek) throw new ToolFault('secret owner cannot use --refresh');
    if (newLabel !== undefined)
      throw new ToolFault('either URI or label should be used for getting an owned secret but not both');
  }
  if (newLabel !== undefined && ours) {
    if (secret.owner.kind === 'application' && !context.isLeader())
      throw new ToolFault('only unit leaders can update an application owned secret label');
    const asItWas = { content: null, description: null, rotation: null, expiry: null };
    context.secretChanges.push({ type: 'set', xid: secret.xid, label: newLabel, ...asItWas });
  }
  const staged = context.secretChanges
    .flatMap((change) =>
      change.type === 'set' && change.xid === secret.xid && change.content !== null ? [change.content] : [],
    )
    .at(-1);
  // The controller learns at once who reads what; only that the newest is tracked from now on waits for the end of the hook.
  const consumer = secret.consumers.get(context.unit.name) ?? {
    label: '',
    tracked: secret.latest,
    told: secret.latest,
  };
  secret.consumers.set(context.unit.name, consumer);
  if (newLabel !== undefined && !ours) consumer.label = newLabel;
  if (how.refresh) context.secretChanges.push({ type: 'track', xid: secret.xid });
  const newest = how.refresh || how.peek || (ours && !tracksOwners);
  const refreshed = context.secretChanges.some((change) => change.type === 'track' && change.xid === secret.xid);
  if (newest && staged !== undefined) return staged;
  const content = secret.revisions.get(newest || refreshed ? secret.latest : consumer.tracked);
  if (content === undefined) throw new ToolFault(`secret revision ${consumer.tracked} not found`);
  return content;
};

const mayRead = (context: HookContext, secret: SecretThing): boolean =>
  secret.grants.some(
    ({ to, relation }) =>
      (to === context.application || to === context.unit.name) &&
      (relation === null || context.store.relations.has(relation)),
  );

const secretKey = /^[a-z](?:-?[a-z0-9]){2,}$/;

/** `k=v`, `k#base64=v` and `k#file=PATH`. Null when none was given. */
const contentOf = async (
  pairs: readonly string[],
  file: string | undefined,
  directory: string,
): Promise<Values | null> => {
  const content = new Map<string, string>();
  if (file !== undefined) {
    const parsed: unknown = parse(await readFrom(join(directory, file)));
    for (const [key, value] of Object.entries(parsed ?? {})) content.set(key, String(value));
  }
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (at < 1) throw new ToolFault(`expected "key=value", got "${pair}"`, 2);
    const [key = '', how] = name.split('#');
    if (how === undefined && value === '') throw new ToolFault(`missing value for "${key}"`, 2);
    if (how === 'file') content.set(key, await readFrom(value.startsWith('/') ? value : join(directory, value)));
    else content.set(key, how === 'base64' ? Buffer.from(value, 'base64').toString() : value);
  }
  for (const key of content.keys()) if (!secretKey.test(key)) throw new ToolFault(`key "${key}" not valid`, 2);
  return content.size === 0 ? null : Object.fromEntries(content);
};

const readFrom = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ToolFault(cause instanceof Error ? cause.message : String(cause));
  }
};
