import type { Verb } from './verb.ts';
import { applyVerb } from './commands/apply.ts';
import { configVerb } from './commands/config.ts';
import { dsnVerb } from './commands/dsn.ts';
import { integrateBackendVerb } from './commands/integrate-backend.ts';
import { integrateClientVerb } from './commands/integrate-client.ts';
import { readyVerb } from './commands/ready.ts';
import { removeRelationVerb } from './commands/remove-relation.ts';
import { removeUnitVerb } from './commands/remove-unit.ts';
import { showUnitVerb } from './commands/show-unit.ts';
import { statusVerb } from './commands/status.ts';
import { versionVerb } from './commands/version.ts';

/** In the order in which help lists them. */
export const verbs: readonly Verb[] = [
  statusVerb,
  configVerb,
  integrateBackendVerb,
  integrateClientVerb,
  removeRelationVerb,
  applyVerb,
  dsnVerb,
  showUnitVerb,
  removeUnitVerb,
  readyVerb,
  versionVerb,
];
