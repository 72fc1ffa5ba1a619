import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { longest } from '../support/longest-first.ts';

it('the test files that begin first are there, and named once', () => {
  const there = new Set(
    globSync('test/{contract,integration,e2e}/*.test.ts').map((path) => basename(path, '.test.ts')),
  );
  expect(longest.filter((name) => !there.has(name))).toEqual([]);
  expect(new Set(longest).size).toBe(longest.length);
});
