/** The work of a purge: messages of a room expire at once, as by retention. */
import type { Messaging } from '../../messaging.ts';
import type { postgres } from '../../storage/sql.ts';
import type { JobInputs } from './job-row.ts';
import type { Work } from './job-run.ts';

export function purgeWork(sql: postgres.Sql, messaging: Pick<Messaging, 'purge'>): Work<JobInputs['room:purge']> {
  return async (run) => {
    const { room, before } = run.input;
    let { messages = 0 } = run.progress;
    await messaging.purge(room, before, async (removed) => {
      messages += removed;
      await run.save(sql, { messages });
    });
    return { messages, first: before };
  };
}
