/** The secret of the application that holds the key under which everything secret lies in the peer relation; every unit may read it. */
import type { Question } from './tool-answers.ts';

export const keyLabel = 'troupe';
export const keyField = 'seal-key';

/** As `JujuTools.secretGet` asks for it. */
export const keyQuestion: Question = { tool: 'secret-get', args: ['--format=json', '--label', keyLabel, '--refresh'] };
