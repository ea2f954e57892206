/** Errors as `application/problem+json` (RFC 9457), from the one catalogue. */
import { z } from 'zod';
import { errorCatalogue, type ParleyError } from '../protocol/errors.ts';
import { InputError, RestError, restErrorKinds } from '../protocol/rest-errors.ts';

export const problemType = 'application/problem+json';

export const problem = z
  .object({
    type: z.string().describe('the address of the description of the error'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('what happened in this request'),
    code: z.string().describe('the code of the error: see the table of errors'),
    retryable: z.boolean().describe('whether the same request may succeed later'),
    retryAfter: z.int().optional().describe('milliseconds to wait before the next try'),
    errors: z
      .array(
        z.object({
          pointer: z.string().describe('a JSON pointer into the input'),
          in: z.enum(['path', 'query', 'body', 'header']),
          message: z.string(),
        }),
      )
      .optional(),
    requestId: z.string(),
    error: z
      .object({
        code: z.string(),
        message: z.string(),
        retryable: z.boolean(),
        retryAfter: z.int().optional(),
      })
      .optional()
      .describe('the error in its former shape, from routes that are older than this form'),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problem>;

/** @param former whether the problem has the former shape of the error too */
export function problemOf(error: ParleyError, requestId: string, former = false): Problem {
  const code = error instanceof RestError ? error.rest : error.code;
  const kind = error instanceof RestError ? restErrorKinds[error.rest] : errorCatalogue[error.code];
  return {
    type: `/docs#error-${code}`,
    title: kind.message,
    status: kind.httpStatus,
    detail: error.message,
    code,
    retryable: error.retryable,
    ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }),
    ...(error instanceof InputError ? { errors: [...error.faults] } : {}),
    requestId,
    ...(former ? { error: error.toWire() } : {}),
  };
}
