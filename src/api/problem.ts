/** Errors as `application/problem+json` (RFC 9457), from the one catalogue. */
import { z } from 'zod';
import { errorCatalogue, type ParleyError } from '../protocol/errors.ts';
import { InputError, RestError, restErrorKinds, type RestErrorCode } from '../protocol/rest-errors.ts';
import { Refusal } from './bridge/refusal.ts';

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
  const rest = restCodeOf(error);
  const code = rest ?? error.code;
  const kind = rest === undefined ? errorCatalogue[error.code] : restErrorKinds[rest];
  return {
    type: `/api/v1/docs#error-${code}`,
    title: kind.message,
    status: kind.httpStatus,
    detail: error.message,
    code,
    retryable: kind.retryable,
    ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }),
    ...(error instanceof InputError ? { errors: [...error.faults] } : {}),
    requestId,
    ...(former ? { error: error.toWire() } : {}),
  };
}

/** The code that only REST has. A refusal of the bridge has the nearest code of the catalogue, so its status decides. */
function restCodeOf(error: ParleyError): RestErrorCode | undefined {
  if (error instanceof RestError) return error.rest;
  if (!(error instanceof Refusal)) return undefined;
  return error.status === 408 ? 'timeout' : error.status === 415 ? 'unsupported_type' : undefined;
}
