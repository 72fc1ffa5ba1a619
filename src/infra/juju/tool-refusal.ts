/**
 * Why a hook tool did not do what it was asked. Told by its words: exit codes do not tell these apart.
 * `relationGone`: the relation is dying or dead. `secretMissing`: no such secret or label. `labelTaken`: another secret has it.
 * `ownerRead`: this Juju does not let an owner read with these flags. `noBinding`: no network for that endpoint.
 * `missingTool`: this Juju has no such tool. `tooLarge`: more than Juju stores. `failed`: anything else, no answer in time included.
 */
export type RefusalKind =
  | 'notLeader'
  | 'forbidden'
  | 'relationGone'
  | 'secretMissing'
  | 'labelTaken'
  | 'ownerRead'
  | 'noBinding'
  | 'leadershipUnknown'
  | 'missingTool'
  | 'tooLarge'
  | 'failed';

/** A hook tool refused. Its arguments are not repeated: what it says is Juju's. */
export class ToolRefusal extends Error {
  override readonly name = 'ToolRefusal';
  readonly kind: RefusalKind;
  readonly tool: string;
  constructor(tool: string, kind: RefusalKind, says: string, options?: ErrorOptions) {
    super(`Juju refuses ${tool}: ${says}`, options);
    this.tool = tool;
    this.kind = kind;
  }
}

/** The kind, for a tool that ran and failed with these words on stderr. */
export const refusalKindOf = (tool: string, stderr: string): RefusalKind => {
  for (const [words, kind, tools] of known) {
    if (words.test(stderr) && (tools === undefined || tools.test(tool))) return kind;
  }
  return 'failed';
};

/** `ERROR <message>`: the message, of however many lines. */
export const wordsOf = (stderr: string): string => {
  const text = stderr.trim().replaceAll(/^ERROR /gm, '');
  return text === '' ? 'it does not say why' : text.slice(0, 1_000);
};

/** In this order: what is said of secrets may hold words of others. */
const known: readonly (readonly [words: RegExp, kind: RefusalKind, tools?: RegExp])[] = [
  [/relation not found/i, 'relationGone'],
  [/cannot write relation settings/i, 'notLeader'],
  [/only unit leaders can/i, 'notLeader'],
  [/not the leader/i, 'notLeader'],
  [/leadership status unknown/i, 'leadershipUnknown'],
  [/either URI or label should be used|secret owner cannot use --refresh/i, 'ownerRead', /^secret-/],
  [/label .*already exists/i, 'labelTaken', /^secret-/],
  [/not found/i, 'secretMissing', /^secret-/],
  [/permission denied|access denied/i, 'forbidden'],
  [/no network config found/i, 'noBinding'],
];
