/**
 * The one catalogue of errors. Acks, CONNECT errors, REST bodies, close frames, log lines and metric labels use these
 * codes and no others; `docs/errors.md` is compared with it in CI.
 */
interface ErrorKind {
  readonly message: string;
  /** Sending the very same thing again, later, may succeed. */
  readonly retryable: boolean;
  readonly httpStatus: number;
  /** WebSocket close code, for errors that end the connection. Clients may reconnect after any of them. */
  readonly closeCode?: number;
}

export const errorCatalogue = {
  invalid: { message: 'The input does not have the expected form.', retryable: false, httpStatus: 400 },
  unknown_command: { message: 'There is no command of this name.', retryable: false, httpStatus: 404 },
  unauthorized: {
    message: 'A valid token is needed.',
    retryable: false,
    httpStatus: 401,
    closeCode: 4401,
  },
  token_expired: {
    message: 'The token has expired; get a new one and connect again.',
    retryable: false,
    httpStatus: 401,
    closeCode: 4402,
  },
  session_revoked: {
    message: 'The token of this session has been revoked; get a new one and connect again.',
    retryable: false,
    httpStatus: 401,
    closeCode: 4403,
  },
  forbidden: { message: 'Your role does not allow this.', retryable: false, httpStatus: 403 },
  not_found: { message: 'There is no such thing, or you may not see it.', retryable: false, httpStatus: 404 },
  not_member: { message: 'You are not a member of this room.', retryable: false, httpStatus: 403 },
  conflict: { message: 'The id is already in use for something else.', retryable: false, httpStatus: 409 },
  too_large: {
    message: 'The input is over its size limit.',
    retryable: false,
    httpStatus: 413,
    closeCode: 1009,
  },
  limit_reached: {
    message: 'A limit on how many of these there may be is reached.',
    retryable: false,
    httpStatus: 409,
  },
  rate_limited: {
    message: 'Too many requests; wait before the next one.',
    retryable: true,
    httpStatus: 429,
    closeCode: 4429,
  },
  overloaded: { message: 'The server has more work than it can queue.', retryable: true, httpStatus: 503 },
  unavailable: {
    message: 'The database cannot be reached at the moment.',
    retryable: true,
    httpStatus: 503,
    closeCode: 1013,
  },
  draining: {
    message: 'The server is going down; connect again.',
    retryable: true,
    httpStatus: 503,
    closeCode: 1001,
  },
  connect_timeout: {
    message: 'No CONNECT packet came in time.',
    retryable: true,
    httpStatus: 408,
    closeCode: 4408,
  },
  ping_timeout: {
    message: 'The connection was silent for longer than pingInterval + pingTimeout.',
    retryable: true,
    httpStatus: 408,
    closeCode: 4409,
  },
  slow_consumer: {
    message: 'The connection takes events more slowly than they come; connect again and sync.',
    retryable: true,
    httpStatus: 503,
    closeCode: 4413,
  },
  protocol_error: {
    message: 'The frame is not a valid packet.',
    retryable: false,
    httpStatus: 400,
    closeCode: 4400,
  },
  internal: { message: 'The server failed to handle this; it has been logged.', retryable: true, httpStatus: 500 },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCatalogue;

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

  /** @param detail replaces the catalogue's sentence where more can be said to the caller. Never holds secrets. */
  constructor(code: ErrorCode, detail?: string, options?: { retryAfter?: number; cause?: unknown }) {
    super(detail ?? errorCatalogue[code].message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ParleyError';
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }

  toWire(): WireError {
    const wire: WireError = { code: this.code, message: this.message, retryable: this.retryable };
    if (this.retryAfter !== undefined) wire.retryAfter = this.retryAfter;
    return wire;
  }
}
