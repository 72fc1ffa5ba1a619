import { expect, it } from 'vitest';
import { z } from 'zod';
import type {
  ClientConnection,
  Credentials,
  FleetStatus,
  OptionsView,
  PoolStatus,
  RelationStatus,
  TraceEntry,
  UnitStatus,
} from '../../../src/actors/model/status.ts';
import { backendSchema, credentialsSchema, optionsChangeSchema, optionsViewSchema } from '../../../src/api/change.ts';
import { problemsOf } from '../../../src/api/problems.ts';
import {
  clientConnectionsSchema,
  fleetStatusSchema,
  relationsSchema,
  unitStatusSchema,
  unitViewSchema,
} from '../../../src/api/status.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T;
type Equal<Schema extends z.ZodType, Type> = Same<Frozen<z.output<Schema>>, Frozen<Type>>;

/** Checked by the compiler: a field more or less on either side, and this is no longer `true`. */
const equal: readonly true[] = [
  true satisfies Equal<typeof fleetStatusSchema, FleetStatus>,
  true satisfies Equal<typeof unitStatusSchema, UnitStatus>,
  true satisfies Equal<typeof relationsSchema, readonly RelationStatus[]>,
  true satisfies Equal<typeof clientConnectionsSchema, readonly ClientConnection[]>,
  true satisfies Equal<typeof optionsViewSchema, OptionsView>,
  true satisfies Equal<typeof credentialsSchema, Credentials>,
  true satisfies Same<Frozen<NonNullable<z.output<typeof unitViewSchema>['pools']>>, Frozen<readonly PoolStatus[]>>,
  true satisfies Same<Frozen<NonNullable<z.output<typeof unitViewSchema>['trace']>>, Frozen<readonly TraceEntry[]>>,
];

it('answers have the types of the model, and a whole status passes unchanged', () => {
  expect(equal).not.toContain(false);
  const fleet = new MemoryFleet();
  fleet.settle();
  expect(fleetStatusSchema.parse(fleet.status(1))).toEqual(fleet.status(1));
});

it('an answer with fields that are new is still read, one with fields that are missing is not', () => {
  const status = new MemoryFleet().status(0);
  expect(fleetStatusSchema.safeParse({ ...status, novelty: 1 }).success).toBe(true);
  const { leader: _, ...headless } = status;
  expect(fleetStatusSchema.safeParse(headless).success).toBe(false);
});

it.each<[string, unknown, readonly string[]]>([
  ['nothing', undefined, ['body: is missing']],
  ['null', null, ['body: must be an object']],
  ['a list', [], ['body: must be an object']],
  ['no options', {}, ['options: is missing']],
  ['empty options', { options: {} }, ['options: names no option']],
  ['a field too many', { options: { a: 1 }, dry: true }, ['dry: is not a field of this request: remove it']],
  ['a fractional version', { options: { a: 1 }, expected: 1.5 }, ['expected: must be a whole number']],
  ['a negative version', { options: { a: 1 }, expected: -1 }, ['expected: must be 0 or more']],
  ['an author of two lines', { options: { a: 1 }, author: 'a\nb' }, ['author: holds control characters']],
  ['an empty key', { options: { '': 1 } }, ['options.: its name is empty']],
  [
    'values of other types',
    { options: { a: { b: 1 }, c: [1] } },
    [
      'options.a: must be a text of up to 4096 characters, a number, true, false, or null to reset it',
      'options.c: must be a text of up to 4096 characters, a number, true, false, or null to reset it',
    ],
  ],
])('a change of options with %s is refused by path and reason', (_, body, expected) => {
  const { error } = optionsChangeSchema.safeParse(body);
  expect(error === undefined ? [] : problemsOf(error).map(({ path, reason }) => `${path}: ${reason}`)).toEqual(
    expected,
  );
});

it('a password becomes a secret at once, and no problem shows a value', () => {
  const body = { name: 'main', endpoints: ['db1:5432'], username: 'admin', password: 'marker-1' };
  const parsed = backendSchema.parse(body);
  expect(parsed.password.reveal()).toBe('marker-1');
  expect(JSON.stringify(parsed)).not.toContain('marker-1');
  const wrong = backendSchema.safeParse({ ...body, password: { marker: 'marker-1' }, username: 7 });
  expect(JSON.stringify(wrong.error === undefined ? '' : problemsOf(wrong.error))).not.toContain('marker-1');
  expect(wrong.success).toBe(false);
});
