/**
 * The one catalogue of errors. Acks, CONNECT errors, REST bodies, close frames, log lines and metric labels use these
 * codes and no others; `docs/errors.md` is compared with it in CI.
 */
interface ErrorKind {
  readonly message: string;
  /** The same request may succeed later. */
  readonly retryable: boolean;
}

interface ServerErrorKind extends ErrorKind {
  readonly httpStatus: number;
  /** WebSocket close code, for errors that end the connection. Clients may reconnect after any of them. */
  readonly closeCode?: number;
}

/** The part of each error that clients need; the SDK contains no more. */
export const errorKinds = {
  invalid: { message: 'The input does not have the expected form.', retryable: false },
  unknown_command: { message: 'There is no command of this name.', retryable: false },
  unauthorized: { message: 'A valid token is needed.', retryable: false },
  token_expired: { message: 'The token has expired; get a new one and connect again.', retryable: false },
  session_revoked: {
    message: 'The token of this session has been revoked; get a new one and connect again.',
    retryable: false,
  },
  forbidden: { message: 'Your role does not allow this.', retryable: false },
  not_found: { message: 'The requested object does not exist, or you may not see it.', retryable: false },
  not_member: { message: 'You are not a member of this room.', retryable: false },
  conflict: { message: 'The id is already in use for another object.', retryable: false },
  too_large: { message: 'The input is over its size limit.', retryable: false },
  limit_reached: { message: 'The number of these objects has reached its limit.', retryable: false },
  rate_limited: { message: 'Too many requests; wait before the next one.', retryable: true },
  overloaded: { message: 'The server has more work than it can queue.', retryable: true },
  unavailable: { message: 'The database is unavailable at the moment.', retryable: true },
  draining: { message: 'The server is stopping; connect again.', retryable: true },
  connect_timeout: { message: 'No CONNECT packet arrived in time.', retryable: true },
  ping_timeout: { message: 'The connection was silent for too long.', retryable: true },
  slow_consumer: {
    message: 'The connection reads too slowly; connect again and sync.',
    retryable: true,
  },
  protocol_error: { message: 'The frame is not a valid packet.', retryable: false },
  internal: { message: 'The server failed to handle the request; the failure is in its log.', retryable: true },
} as const satisfies Record<string, ErrorKind>;

export const errorCatalogue = {
  invalid: { ...errorKinds.invalid, httpStatus: 400 },
  unknown_command: { ...errorKinds.unknown_command, httpStatus: 404 },
  unauthorized: { ...errorKinds.unauthorized, httpStatus: 401 },
  token_expired: { ...errorKinds.token_expired, httpStatus: 401, closeCode: 4402 },
  session_revoked: { ...errorKinds.session_revoked, httpStatus: 401, closeCode: 4403 },
  forbidden: { ...errorKinds.forbidden, httpStatus: 403 },
  not_found: { ...errorKinds.not_found, httpStatus: 404 },
  not_member: { ...errorKinds.not_member, httpStatus: 403 },
  conflict: { ...errorKinds.conflict, httpStatus: 409 },
  too_large: { ...errorKinds.too_large, httpStatus: 413, closeCode: 1009 },
  limit_reached: { ...errorKinds.limit_reached, httpStatus: 409 },
  rate_limited: { ...errorKinds.rate_limited, httpStatus: 429, closeCode: 4429 },
  overloaded: { ...errorKinds.overloaded, httpStatus: 503 },
  unavailable: { ...errorKinds.unavailable, httpStatus: 503, closeCode: 1013 },
  draining: { ...errorKinds.draining, httpStatus: 503, closeCode: 1001 },
  connect_timeout: { ...errorKinds.connect_timeout, httpStatus: 408, closeCode: 4408 },
  ping_timeout: { ...errorKinds.ping_timeout, httpStatus: 408, closeCode: 4409 },
  slow_consumer: { ...errorKinds.slow_consumer, httpStatus: 503, closeCode: 4413 },
  protocol_error: { ...errorKinds.protocol_error, httpStatus: 400, closeCode: 4400 },
  internal: { ...errorKinds.internal, httpStatus: 500 },
} as const satisfies Record<keyof typeof errorKinds, ServerErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** The form in which an error travels in an ack, in CONNECT_ERROR's `data` and in REST bodies. */
export interface WireError {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  /** Milliseconds to wait before trying again; only with retryable errors. */
  retryAfter?: number;
}

export class ParleyError extends Error {
  readonly code: ErrorCode;
  readonly retryAfter: number | undefined;

  /** @param detail replaces the catalogue's sentence with a more precise one. Never holds secrets. */
  constructor(code: ErrorCode, detail?: string, options?: { retryAfter?: number; cause?: unknown }) {
    super(detail ?? errorKinds[code].message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ParleyError';
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }

  get retryable(): boolean {
    return errorKinds[this.code].retryable;
  }

  toWire(): WireError {
    const wire: WireError = { code: this.code, message: this.message, retryable: this.retryable };
    if (this.retryAfter !== undefined) wire.retryAfter = this.retryAfter;
    return wire;
  }
}
