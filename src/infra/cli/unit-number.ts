import { CliFailure, exit } from './exit.ts';
import type { Context } from './verb.ts';

/** The number of a unit that was named `pgbouncer/0` or `0`, and the application it is of. */
export const unitNamed = async (
  text: string,
  { api, signal }: Context,
): Promise<{ readonly application: string; readonly number: number }> => {
  const [, named, digits] = /^(?:([a-z][a-z0-9-]*)\/)?(0|[1-9]\d{0,8})$/.exec(text) ?? [];
  if (digits === undefined)
    throw new CliFailure(exit.usage, `${JSON.stringify(text)} is no unit: name one such as pgbouncer/0, or its number`);
  const { application } = await api.status(signal);
  if (named !== undefined && named !== application)
    throw new CliFailure(exit.usage, `${text}: the application here is ${application}`);
  return { application, number: Number(digits) };
};
