/** Outcomes of the SQL functions that change rooms and members (migrations/functions), as errors. */
import { ParleyError } from '../protocol/errors.ts';

export type Refusal =
  'not_found' | 'not_member' | 'forbidden' | 'archived' | 'actor_muted' | 'banned' | 'no_subject' | 'limit_reached';

const errors: Record<Refusal, () => ParleyError> = {
  not_found: () => new ParleyError('not_found'),
  not_member: () => new ParleyError('not_member'),
  forbidden: () => new ParleyError('forbidden'),
  archived: () => new ParleyError('forbidden', 'The room is archived.'),
  actor_muted: () => new ParleyError('forbidden', 'You are muted in this room.'),
  banned: () => new ParleyError('forbidden', 'The user is banned from this room.'),
  no_subject: () => new ParleyError('not_found', 'There is no such member.'),
  limit_reached: () =>
    new ParleyError('limit_reached', 'The room has as many members, or the user as many rooms, as it may.'),
};

/** @param details sentences in the place of the usual ones. @throws {ParleyError} for an outcome that is a refusal. */
export function refuse<O extends string>(
  outcome: O,
  details: Partial<Record<Refusal, string>> = {},
): asserts outcome is Exclude<O, Refusal> {
  if (!(outcome in errors)) return;
  const refusal = outcome as Refusal;
  const error = errors[refusal]();
  const detail = details[refusal];
  throw detail === undefined ? error : new ParleyError(error.code, detail);
}
