/** The descriptions of the server's own interfaces. */
import { z } from 'zod';
import type { RouteDeclarations } from '../route-schema.ts';

const document = z.record(z.string(), z.unknown());

export const specRoutes = {
  'spec:openapi': {
    about: 'The description of REST, as OpenAPI 3.1.',
    kind: 'read',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'GET', path: '/openapi.json' },
    input: z.object({}),
    output: document,
    errors: [],
  },
} as const satisfies RouteDeclarations;
