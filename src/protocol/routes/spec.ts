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
  'spec:asyncapi': {
    about: 'The description of the socket, as AsyncAPI 3.0.',
    kind: 'read',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'GET', path: '/asyncapi.json' },
    input: z.object({}),
    output: document,
    errors: [],
  },
  'spec:docs': {
    about: 'REST as a page for people. The page loads nothing from elsewhere.',
    kind: 'read',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'GET', path: '/docs' },
    input: z.object({}),
    output: z.string(),
    errors: [],
    produces: 'text/html',
  },
} as const satisfies RouteDeclarations;
