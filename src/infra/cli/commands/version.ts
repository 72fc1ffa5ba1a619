import { print, type Verb } from '../verb.ts';

export const versionVerb: Verb = {
  name: 'version',
  summary: 'the version of this command line (status shows that of each unit)',
  usage: '',
  takes: { least: 0, most: 0 },
  flags: {},
  run: async (given, context) => print(context, given, { version: context.version }, `troupe ${context.version}`),
};
