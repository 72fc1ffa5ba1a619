import { z } from 'zod';
import {
  backendSchema,
  changeAnswerSchema,
  clientSchema,
  comparisonSchema,
  credentialsSchema,
  differenceSchema,
  fleetSchema,
  optionsChangeSchema,
  optionsViewSchema,
} from './change.ts';
import { type ErrorCode, errorCatalogue, errorSchema } from './errors.ts';
import { operations, type Route } from './routes.ts';
import {
  clientConnectionsSchema,
  fleetStatusSchema,
  probeSchema,
  relationsSchema,
  relationStatusSchema,
  unitStatusSchema,
  unitViewSchema,
} from './status.ts';

/** The API as an OpenAPI 3.1 document, made from the schemas that the server and the command line use. */
export const openApiDocument = (version: string): Readonly<Record<string, unknown>> => ({
  openapi: '3.1.0',
  info: {
    title: 'Troupe',
    version,
    description:
      'One unit of a fleet of PgBouncers. Any unit answers for the fleet as it sees it. Tokens are for TCP; who may open the unix socket may do everything.',
  },
  paths: pathsOf(),
  components: {
    schemas: componentSchemas(),
    securitySchemes: {
      token: {
        type: 'http',
        scheme: 'bearer',
        description:
          'A token of the file TROUPE_API_TOKEN_FILE of the unit. Scopes: read; operate (changes) and secrets (credentials) include read, but not each other.',
      },
    },
  },
  'x-errors': Object.entries(errorCatalogue).map(([code, { status, means }]) => ({ code, status, means })),
});

const named: Readonly<Record<string, z.ZodType>> = {
  Error: errorSchema,
  Probe: probeSchema,
  FleetStatus: fleetStatusSchema,
  UnitStatus: unitStatusSchema,
  UnitView: unitViewSchema,
  RelationStatus: relationStatusSchema,
  Relations: relationsSchema,
  ClientConnections: clientConnectionsSchema,
  OptionsView: optionsViewSchema,
  OptionsChange: optionsChangeSchema,
  Backend: backendSchema,
  Client: clientSchema,
  Fleet: fleetSchema,
  Difference: differenceSchema,
  Comparison: comparisonSchema,
  ChangeAnswer: changeAnswerSchema,
  Credentials: credentialsSchema,
};

const referenceTo = (id: string): string => `#/components/schemas/${id}`;

const componentSchemas = (): Readonly<Record<string, unknown>> => {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: referenceTo });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema] as const),
  );
};

const schemaOf = (schema: z.ZodType): unknown => {
  const id = Object.keys(named).find((name) => named[name] === schema);
  if (id !== undefined) return { $ref: referenceTo(id) };
  const { $schema: _, ...inline } = z.toJSONSchema(schema, { io: 'input' });
  return inline;
};

const pathsOf = (): Readonly<Record<string, Readonly<Record<string, unknown>>>> => {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [operationId, route] of operations) {
    const path = (paths[route.path] ??= {});
    path[route.method] = operationOf(operationId, route);
    if (route.probe)
      for (const method of ['head', 'options']) path[method] = operationOf(`${operationId}-${method}`, route);
  }
  return paths;
};

const operationOf = (operationId: string, route: Route): Readonly<Record<string, unknown>> => {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
  const content = { [route.answer.media]: { schema: schemaOf(route.answer.schema) } };
  return {
    operationId,
    summary: route.summary,
    security: route.scope === null ? [] : [{ token: [route.scope] }],
    parameters: [
      ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...Object.entries(route.query ?? {}).map(([name, description]) => ({
        name,
        in: 'query',
        description,
        schema: { type: 'string' },
      })),
    ],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body) } } } }),
    responses: {
      200: { description: route.probe ? 'yes' : 'as asked', content },
      ...(route.probe ? { 503: { description: 'no; the reason is in the answer', content } } : {}),
      ...errorResponses(route),
    },
  };
};

/** Those that any request can earn, whatever it asks for. */
const anywhere: readonly ErrorCode[] = [
  'malformed-request',
  'invalid-input',
  'too-slow',
  'headers-too-large',
  'internal',
];

/** Those that a request without the right token earns. */
const guarded: readonly ErrorCode[] = ['unauthorized', 'forbidden'];

const errorResponses = ({ errors, probe, scope }: Route): Readonly<Record<number, unknown>> => {
  const codes = [...new Set([...anywhere, ...(scope === null ? [] : guarded), ...errors])];
  const statuses = [...new Set(codes.map((code) => errorCatalogue[code].status))].filter(
    (status) => !(probe && status === 503),
  );
  return Object.fromEntries(
    statuses.map((status) => {
      const here = codes.filter((code) => errorCatalogue[code].status === status);
      return [
        status,
        {
          description: here.map((code) => `\`${code}\`: ${errorCatalogue[code].means}`).join('; '),
          content: { 'application/json': { schema: { $ref: referenceTo('Error') } } },
        },
      ] as const;
    }),
  );
};
