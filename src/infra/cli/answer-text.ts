import { CliFailure, exit } from './exit.ts';
import { nameOf, type Place } from './place.ts';

/** Undefined, which no reader takes, when it is not JSON. */
export const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** `where`: the field that is not as expected. */
export const notUnderstood = (place: Place, where: string, cause?: unknown): CliFailure =>
  new CliFailure(
    exit.failed,
    `${nameOf(place)}: its answer is not one that this version of troupe understands (${where}): use the version of that unit`,
    cause,
  );
