/** The errors that only a request of REST can meet. They are apart from errors.ts, because the SDK contains that file. */
import { ParleyError, type ErrorCode, type WireError } from './errors.ts';

export const restErrorKinds = {
  bad_json: { message: 'The body is not valid JSON.', retryable: false, httpStatus: 400 },
  method_not_allowed: { message: 'This address does not have this method.', retryable: false, httpStatus: 405 },
  timeout: { message: 'The request took too long.', retryable: true, httpStatus: 408 },
  in_progress: {
    message: 'A request with this Idempotency-Key is still running.',
    retryable: true,
    httpStatus: 409,
  },
  not_stored: {
    message: 'Nothing was stored, because another message of the atomic request was refused.',
    retryable: false,
    httpStatus: 409,
  },
  wrong_offset: {
    message: 'The upload has another offset; read the offset and go on from there.',
    retryable: false,
    httpStatus: 409,
  },
  gone: { message: 'The object is not there any more.', retryable: false, httpStatus: 410 },
  precondition_failed: {
    message: 'The object has changed since it was read; read it again.',
    retryable: false,
    httpStatus: 412,
  },
  storage_full: {
    message: 'The files of this user have reached their limit in total.',
    retryable: false,
    httpStatus: 413,
  },
  unsupported_type: { message: 'The body does not have an accepted type.', retryable: false, httpStatus: 415 },
  bad_range: { message: 'The file does not have the requested range.', retryable: false, httpStatus: 416 },
  idempotency_mismatch: {
    message: 'An earlier request with this Idempotency-Key had other content.',
    retryable: false,
    httpStatus: 422,
  },
  unsupported: { message: 'This server does not support the request.', retryable: false, httpStatus: 501 },
} as const satisfies Record<string, { message: string; retryable: boolean; httpStatus: number }>;

export type RestErrorCode = keyof typeof restErrorKinds;

export class RestError extends ParleyError {
  readonly rest: RestErrorCode;

  /** @param detail replaces the sentence of the catalogue with a more precise one. Never holds secrets. */
  constructor(rest: RestErrorCode, detail?: string, options?: { retryAfter?: number; cause?: unknown }) {
    super('invalid', detail ?? restErrorKinds[rest].message, options);
    this.name = 'RestError';
    this.rest = rest;
  }

  override get retryable(): boolean {
    return restErrorKinds[this.rest].retryable;
  }
}

/** One fault of an input, for the `errors` of a problem. */
export interface InputFault {
  /** Where in the input, as a JSON pointer (RFC 6901); '' is the whole input. */
  readonly pointer: string;
  readonly in: 'path' | 'query' | 'body' | 'header';
  readonly message: string;
}

/** An `invalid` input with each of its faults. */
export class InputError extends ParleyError {
  readonly faults: readonly InputFault[];

  constructor(faults: readonly InputFault[], options?: { cause?: unknown }) {
    const [first] = faults;
    const at = first === undefined || first.pointer === '' ? '' : `${first.pointer.slice(1).replaceAll('/', '.')}: `;
    super('invalid', first === undefined ? undefined : `${at}${first.message}`, options);
    this.name = 'InputError';
    this.faults = faults;
  }
}

/** The form in which an error is one of several outcomes of a request. */
export type OutcomeError = Omit<WireError, 'code'> & { readonly code: ErrorCode | RestErrorCode };

export function outcomeError(error: ParleyError): OutcomeError {
  return error instanceof RestError ? { ...error.toWire(), code: error.rest } : error.toWire();
}
