/** Errors of the bridge itself, which the catalogue has without the HTTP status. */
import { errorCatalogue, ParleyError, type ErrorCode } from '../../protocol/errors.ts';
import { reasonOf } from '../../http/http.ts';

/** A request that the bridge refuses, or a body that a handler could not read. */
export class Refusal extends ParleyError {
  readonly status: number;

  constructor(status: 400 | 408 | 413 | 415 | 500, code: ErrorCode, detail?: string) {
    super(code, detail);
    this.name = 'Refusal';
    this.status = status;
  }
}

export const bodyTooLarge = (maxBytes: number): Refusal =>
  new Refusal(413, 'too_large', `The body is over ${maxBytes} bytes.`);
export const bodyTooSlow = (): Refusal => new Refusal(408, 'ping_timeout', 'The body did not arrive in time.');
export const bodyEncoded = (): Refusal =>
  new Refusal(415, 'invalid', 'The server accepts bodies without Content-Encoding only.');
export const badHost = (): Refusal => new Refusal(400, 'invalid', 'The Host header is not a host name.');

/** The problem (RFC 9457) for an error, without the parts that only the API knows. */
export function problemOf(error: ParleyError): Response {
  const status = error instanceof Refusal ? error.status : errorCatalogue[error.code].httpStatus;
  const { message: detail, ...rest } = error.toWire();
  return new Response(JSON.stringify({ type: 'about:blank', title: reasonOf(status), status, detail, ...rest }), {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
  });
}
