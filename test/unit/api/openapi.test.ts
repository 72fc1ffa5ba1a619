import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { errorCatalogue, errorCodes } from '../../../src/api/errors.ts';
import { openApiDocument } from '../../../src/api/openapi.ts';
import { operations } from '../../../src/api/routes.ts';

const documentSchema = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        operationId: z.string(),
        security: z.array(z.record(z.string(), z.array(z.string()))),
        responses: z.record(z.string(), z.object({ description: z.string() })),
      }),
    ),
  ),
  components: z.object({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) }),
  'x-errors': z.array(z.object({ code: z.string(), status: z.number(), means: z.string() })),
});

/** As it goes over the wire. */
const text = JSON.stringify(openApiDocument('1.2.3'));
const document = documentSchema.parse(JSON.parse(text));
const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
);

describe('the OpenAPI document', () => {
  it('lists the errors of the catalogue, no more and no fewer', () => {
    expect(document['x-errors']).toEqual(
      Object.entries(errorCatalogue).map(([code, { status, means }]) => ({ code, status, means })),
    );
    expect(JSON.stringify(document.components.schemas['Error'])).toContain(JSON.stringify(errorCodes));
  });

  it('names each error of each operation under its status', () => {
    for (const [operationId, { errors, probe }] of operations) {
      const responses = all.find((one) => one.operationId === operationId)?.responses ?? {};
      for (const code of errors) {
        const { status, means } = errorCatalogue[code];
        expect(responses[String(status)]?.description).toContain(`\`${code}\`: ${means}`);
      }
      expect(Object.keys(responses)).toContain(probe ? '503' : '200');
    }
  });

  it('has every route once, and an id for every operation', () => {
    const documented = all.map(({ method, path }) => `${method} ${path}`);
    const served = operations.flatMap(([, { method, path, probe }]) =>
      (probe ? [method, 'head', 'options'] : [method]).map((one) => `${one} ${path}`),
    );
    expect(documented.toSorted()).toEqual(served.toSorted());
    expect(new Set(all.map(({ operationId }) => operationId)).size).toBe(all.length);
  });

  it('says what a token must have for each operation, and what happens without', () => {
    for (const [operationId, { scope }] of operations) {
      const operation = all.find((one) => one.operationId === operationId);
      expect(operation?.security).toEqual(scope === null ? [] : [{ token: [scope] }]);
      expect(['401', '403'].filter((status) => Object.hasOwn(operation?.responses ?? {}, status))).toHaveLength(
        scope === null ? 0 : 2,
      );
    }
    expect(text).toContain('"securitySchemes":{"token":{"type":"http","scheme":"bearer"');
  });

  it('refers only to schemas that it holds', () => {
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, to = '']) => to);
    expect(references.length).toBeGreaterThan(20);
    const held = Object.keys(document.components.schemas).map((id) => `#/components/schemas/${id}`);
    expect(references.filter((to) => !held.includes(to))).toEqual([]);
  });

  it('closes what is asked and leaves open what is answered', () => {
    const { OptionsChange, Backend, Client, FleetStatus } = document.components.schemas;
    for (const request of [OptionsChange, Backend, Client]) expect(request?.['additionalProperties']).toBe(false);
    expect(FleetStatus?.['additionalProperties']).toBeUndefined();
  });
});
