import { errorKinds, ParleyError } from '../protocol/errors.ts';
import type { ErrorCode, WireError } from '../protocol/errors.ts';

/** An error as it came over the wire. A code that this client does not know yet counts as `internal`. */
export function fromWire(error: Partial<WireError>): ParleyError {
  const known = typeof error.code === 'string' && Object.hasOwn(errorKinds, error.code);
  const code: ErrorCode = known ? (error.code as ErrorCode) : 'internal';
  const options = typeof error.retryAfter === 'number' ? { retryAfter: error.retryAfter } : undefined;
  return new ParleyError(code, error.message, options);
}

/** Converts a thrown value to an error of the catalogue. */
export function asParleyError(thrown: unknown): ParleyError {
  if (thrown instanceof ParleyError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new ParleyError('internal', detail, { cause: thrown });
}

/** For values of an application (tokens, a store) that may never come: fails with `unavailable` after the time. */
export async function within<T>(ms: number, work: T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject: (error: ParleyError) => void) => {
    timer = setTimeout(() => reject(disconnected('No answer in time.')), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The connection was lost or never existed. The command may have been carried out. */
export function disconnected(detail = 'The connection to the server is interrupted.'): ParleyError {
  return new ParleyError('unavailable', detail);
}
