import { checkOptions, type OptionProblem, optionOf, parseOption } from '../../pgbouncer/catalogue.ts';
import { type Intent, type Options, type OptionValue, unreadableIn, withoutUnreadable } from '../model/intent.ts';
import { type Changed, changed, unless } from './changed.ts';

/** A key that is no option is refused also when it is to be reset: it was never set, and somebody meant something by it. */
export const setOptions = (intent: Intent, given: Readonly<Record<string, OptionValue | null>>): Changed => {
  const values = new Map<string, OptionValue>(Object.entries(intent.options));
  const problems = Object.entries(given).flatMap(([key, value]): readonly OptionProblem[] => {
    if (value !== null) {
      values.set(key, value);
      return checkOptions({ [key]: value });
    }
    // What an earlier version of Troupe let be set can always be taken back.
    const was = values.delete(key) || unreadableIn(intent, 'options', key) !== undefined;
    const parsed = was ? null : parseOption(key, '');
    return parsed === null || parsed.ok || optionOf(key) !== undefined
      ? []
      : [{ path: `options.${key}`, reason: parsed.reason }];
  });
  const options: Options = Object.fromEntries([...values].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const unreadable = withoutUnreadable(intent, 'options', new Set(Object.keys(given)));
  return unless(problems, () => changed({ ...intent, options, unreadable }));
};
