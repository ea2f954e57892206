import { ParleyError } from '../protocol/errors.ts';

/** @param until milliseconds since 1970; null: until it is lifted. */
export function mutedError(until: number | null): ParleyError {
  const end = until === null ? '' : ` until ${new Date(until).toISOString()}`;
  return new ParleyError('forbidden', `You are muted in this room${end}.`);
}
