/** API keys over REST. */
import type { RouteDeclarations } from '../route-schema.ts';
import { z } from 'zod';
import { keyCreateInput, keyListOutput, keyRevokeInput, keyRotateInput, keyView, keyWithSecret } from '../keys.ts';

const common = { weight: 10, scope: 'admin', callers: 'key' } as const;

export const keyRoutes = {
  'key:list': {
    ...common,
    about: 'The API keys of the installation without their secrets, the oldest first. The list has one page.',
    kind: 'read',
    http: { method: 'GET', path: '/keys', sensitive: true, pages: { items: 'keys', next: [] } },
    input: z.object({}),
    output: keyListOutput,
    errors: [],
  },
  'key:create': {
    ...common,
    about: 'Makes an API key. The answer has the whole key, which Parley shows this one time.',
    kind: 'write',
    http: { method: 'POST', path: '/keys', status: 201, sensitive: true, secret: true },
    input: keyCreateInput,
    output: keyWithSecret,
    errors: ['limit_reached'],
  },
  'key:rotate': {
    ...common,
    about:
      'Gives an API key another secret. The answer has the whole key, which Parley shows this one time. The former ' +
      'secret stays valid for `overlapMs`.',
    kind: 'write',
    http: { method: 'POST', path: '/keys/{id}/rotate', sensitive: true, secret: true },
    input: keyRotateInput,
    output: keyWithSecret,
    errors: ['not_found'],
  },
  'key:revoke': {
    ...common,
    about: 'Revokes an API key. Every node refuses the key within a second.',
    kind: 'write',
    http: { method: 'DELETE', path: '/keys/{id}', sensitive: true },
    input: keyRevokeInput,
    output: keyView,
    errors: ['not_found'],
  },
} as const satisfies RouteDeclarations;
