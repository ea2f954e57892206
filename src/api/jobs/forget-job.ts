/** The work of deleting a user: that of `parley users forget`, and then the caches and the presence of the running nodes. */
import { forgetPresence } from '../../presence/forget.ts';
import { forgetUser, type ForgetOptions, type ForgetProgress } from '../../retention/forget-user.ts';
import type { Cache } from '../../storage/cache.ts';
import { invalidationsOfChanges } from '../../storage/cache/invalidations.ts';
import type { RedisLink } from '../../storage/redis.ts';
import type { postgres } from '../../storage/sql.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { JobInputs, JobPlace } from './job-row.ts';
import type { Work } from './job-run.ts';

export interface ForgetParts {
  readonly sql: postgres.Sql;
  readonly applied: ForgetOptions['applied'];
  /** Lets this node and the others read the revocation at once. */
  readonly nudge: () => void;
  readonly cache: Pick<Cache, 'invalidate'>;
  /** Undefined: this node is alone, and keeps no moment of a user who is absent. */
  readonly redis: { readonly link: RedisLink; readonly prefix: string } | undefined;
}

export function forgetWork({ sql, applied, nudge, cache, redis }: ForgetParts): Work<JobInputs['user:delete']> {
  return async (run) => {
    const { user, keepMessages } = run.input;
    const done = await forgetUser(sql, user, {
      keepMessages,
      applied,
      nudge,
      ...(run.place === null ? {} : { from: placeOf(run.place) }),
      saving: (tx, place) => {
        const { rooms, messages, reactions } = place;
        return run.save(tx, { rooms, messages, reactions }, { ...place });
      },
    });
    await cache.invalidate(invalidationsOfChanges.user(user));
    if (redis !== undefined && !(await forgetPresence(redis.link, redis.prefix, user))) {
      throw new ParleyError('unavailable', 'A connection of the user is still open on a node; delete the user again.');
    }
    const { pseudonym, known, rooms, messages, reactions } = done;
    return { pseudonym, known, rooms, messages, reactions };
  };
}

/** Only this work writes the place. */
function placeOf(place: JobPlace): ForgetProgress {
  return place as unknown as ForgetProgress;
}
