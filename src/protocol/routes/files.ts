/** The address of signed links, by which anybody reads a file. */
import { z } from 'zod';
import { instant } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

export const fileRoutes = {
  'file:read': {
    about:
      'The bytes of a file, for everybody who has its link. `GET /uploads/{id}/link` gives the link. A link that was ' +
      'changed, or that has ended, is 403. A request for one range of bytes gets 206. Images, sound and films are `inline`, ' +
      'and every other type is an `attachment`.',
    kind: 'read',
    weight: 0,
    scope: null,
    callers: 'anyone',
    http: {
      method: 'GET',
      path: '/files/{id}/{name}',
      isOutside: true,
      hasRanges: true,
      requestHeaders: ['Range', 'If-Range', 'If-None-Match'],
      answerHeaders: ['Content-Disposition', 'Accept-Ranges', 'Last-Modified'],
    },
    ownRate: true,
    produces: '*/*',
    input: z.object({
      id: z.uuid().describe('id of the upload'),
      name: z.string().min(1).describe('name of the file'),
      expires: instant.describe('when the link ends, in milliseconds since 1970'),
      signature: z
        .string()
        .meta({ pattern: '^[A-Za-z0-9_-]{43}$' })
        .describe('signature of the id, the name and the end'),
    }),
    output: z.string(),
    errors: [
      'invalid',
      'forbidden',
      'not_found',
      'too_large',
      'unsupported_type',
      'bad_range',
      'rate_limited',
      'internal',
      'overloaded',
      'unavailable',
    ],
  },
} as const satisfies RouteDeclarations;
