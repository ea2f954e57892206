/**
 * Outcomes of the SQL functions (migrations/functions) that refuse a command, as errors. An outcome has one code and one
 * usual sentence, for commands on rooms, members, messages and pins alike.
 */
import { ParleyError, type ErrorCode } from '../protocol/errors.ts';
import { RestError, type RestErrorCode } from '../protocol/rest-errors.ts';

interface Usual {
  readonly code: ErrorCode;
  readonly detail?: string;
  /** The error of a condition that only a request of REST can have. */
  readonly rest?: RestErrorCode;
}

const refusals = {
  stale: { code: 'invalid', rest: 'precondition_failed' },
  not_found: { code: 'not_found' },
  not_member: { code: 'not_member' },
  forbidden: { code: 'forbidden' },
  conflict: { code: 'conflict' },
  archived: { code: 'forbidden', detail: 'The room is archived.' },
  actor_muted: { code: 'forbidden', detail: 'You are muted in this room.' },
  admins_only: { code: 'forbidden', detail: 'Only owners and admins may send here.' },
  banned: { code: 'forbidden', detail: 'The user is banned from this room.' },
  blocked: { code: 'forbidden', detail: 'You have blocked this user.' },
  too_late: { code: 'forbidden', detail: 'The time in which the message may be edited is over.' },
  no_subject: { code: 'not_found', detail: 'There is no such member.' },
  no_reply_target: { code: 'not_found', detail: 'replyTo: there is no such message yet.' },
  slow: { code: 'rate_limited', detail: 'The room is in slow mode.' },
  resting: { code: 'limit_reached', detail: 'The user declined an invitation to this room not long ago.' },
  limit_reached: {
    code: 'limit_reached',
    detail: 'The room has as many members, or the user as many rooms, as it may.',
  },
} as const satisfies Record<string, Usual>;

export type Refusal = keyof typeof refusals;

/** @param detail in the place of the usual sentence */
export function refusalError(refusal: Refusal, detail?: string, options?: { retryAfter: number }): ParleyError {
  const usual: Usual = refusals[refusal];
  if (usual.rest !== undefined) return new RestError(usual.rest, detail);
  return new ParleyError(usual.code, detail ?? usual.detail, options);
}

/**
 * For functions that name a success with one of these words (`banned` of `ban_user`), the caller excludes that outcome first.
 * @param details sentences in the place of the usual ones
 * @throws {ParleyError} for an outcome that is a refusal
 */
export function refuse<O extends string>(
  outcome: O,
  details: Partial<Record<Refusal, string>> = {},
): asserts outcome is Exclude<O, Refusal> {
  if (!Object.hasOwn(refusals, outcome)) return;
  const refusal = outcome as Refusal;
  throw refusalError(refusal, details[refusal]);
}

/** @param until milliseconds since 1970; null: the mute has no end */
export function mutedError(until: number | null): ParleyError {
  const end = until === null ? '' : ` until ${new Date(until).toISOString()}`;
  return refusalError('actor_muted', `You are muted in this room${end}.`);
}
