/** Uploads of files, by the tus protocol, and links to files. */
import { z } from 'zod';
import { instant } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

const octets = 'application/offset+octet-stream';
const headers = { 'Tus-Resumable': '1.0.0' } as const;
const place = ['Upload-Offset', 'Upload-Length', 'Upload-Metadata', 'Upload-Expires'] as const;
const anUpload = z.object({ id: z.uuid().toLowerCase() });

export const upload = z
  .object({
    id: z.uuid(),
    name: z.string(),
    bytes: z.int().min(1).describe('of the whole file'),
    offset: z.int().min(0).describe('bytes that the server has'),
    type: z.string().nullable().describe('the media type by the content; null while bytes are missing'),
    complete: z.boolean().describe('a message may name the file'),
    expires: instant.nullable().describe('when an unfinished upload is removed; null: the upload is complete'),
  })
  .meta({ id: 'Upload' });

const common = { weight: 1, callers: 'user' } as const;

export const uploadRoutes = {
  'upload:create': {
    ...common,
    about:
      'Begins the upload of a file. `Upload-Length` has its bytes, and `Upload-Metadata` its name as `filename` in base64. ' +
      'The address of the upload is in `Location`. The body may have the first bytes. A file that no message names is ' +
      'removed after a day.',
    kind: 'write',
    scope: 'publish',
    http: {
      method: 'POST',
      path: '/uploads',
      status: 201,
      headers,
      requestHeaders: ['Tus-Resumable', 'Upload-Length', 'Upload-Metadata'],
      answerHeaders: ['Location', ...place],
    },
    consumes: octets,
    input: z.object({}),
    output: upload,
    errors: ['too_large', 'storage_full', 'limit_reached', 'unsupported_type', 'unsupported', 'precondition_failed'],
  },
  'upload:get': {
    ...common,
    about: 'The state of an upload of yours. `HEAD` gives the same as headers, for clients of the tus protocol.',
    kind: 'read',
    scope: 'publish',
    http: { method: 'GET', path: '/uploads/{id}', headers, answerHeaders: place },
    input: anUpload,
    output: upload,
    errors: ['not_found', 'gone', 'in_progress', 'unsupported', 'unsupported_type'],
  },
  'upload:append': {
    ...common,
    about:
      'Appends bytes to an upload at its offset, which `Upload-Offset` names. The last byte completes the upload, and its ' +
      'content decides the type.',
    kind: 'write',
    scope: 'publish',
    http: {
      method: 'PATCH',
      path: '/uploads/{id}',
      status: 204,
      headers,
      requestHeaders: ['Tus-Resumable', 'Upload-Offset'],
      answerHeaders: place,
    },
    consumes: octets,
    needsBody: true,
    input: anUpload,
    output: z.object({}),
    errors: [
      'not_found',
      'wrong_offset',
      'gone',
      'too_large',
      'unsupported_type',
      'in_progress',
      'unsupported',
      'precondition_failed',
    ],
  },
  'upload:delete': {
    ...common,
    about: 'Removes an upload that no message names, also an unfinished one.',
    kind: 'write',
    scope: 'publish',
    http: { method: 'DELETE', path: '/uploads/{id}', status: 204, headers },
    input: anUpload,
    output: z.object({}),
    errors: ['not_found', 'conflict', 'in_progress', 'unsupported'],
  },
  'upload:link': {
    ...common,
    about:
      'A signed link by which anybody reads a file until it expires. You get a link for a file that a message of your rooms ' +
      'names, and for a file of yours that no message names yet.',
    kind: 'read',
    scope: 'messages:read',
    http: { method: 'GET', path: '/uploads/{id}/link' },
    input: anUpload,
    output: z.object({
      url: z.string().describe('the address on this server'),
      expires: instant,
    }),
    errors: ['not_found', 'unsupported'],
  },
} as const satisfies RouteDeclarations;
