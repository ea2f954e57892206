/**
 * A read mark of a room marks its notifications as read, cancels those that wait, and clears those that devices show. The marks are those that this node
 * publishes. A process may lose some without harm: the list and the decisions read the mark itself.
 */
import type { Envelope, Fanout, Observer } from '../fanout/fanout.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Lane } from '../protocol/lanes.ts';
import type { Channel, NotificationState } from '../protocol/notifications.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Lanes } from './lanes/lanes.ts';
import { addClears, type Cleared } from './push/clear.ts';

export interface ReadRoomsParts {
  readonly sql: postgres.Sql;
  readonly fanout: Pick<Fanout, 'observe'>;
  readonly lanes: Pick<Lanes, 'add' | 'cancel'>;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

interface Mark {
  readonly room: string;
  readonly user: string;
  readonly seq: number;
}

interface ReadRow extends Cleared {
  readonly id: string;
  readonly lane: Lane;
  readonly state: NotificationState;
  readonly channel: Channel;
}

const gatherMs = 200;
const marksAtOnce = 1000;
const mostMarks = 50_000;

export class ReadRooms implements Observer {
  readonly #parts: ReadRoomsParts;
  readonly #task: PeriodicTask;
  readonly #marks = new Map<string, Mark>();

  constructor(parts: ReadRoomsParts) {
    this.#parts = parts;
    this.#task = new PeriodicTask({
      run: () => this.#run(),
      everyMs: Infinity,
      leastMs: gatherMs,
      failed: (error, isFirst) => {
        parts.metrics.notifications.failures.inc({ step: 'read' });
        if (isFirst)
          parts.log.warn(
            { err: error },
            'Could not mark notifications as read; their lists use the read marks of rooms.',
          );
      },
    });
    parts.fanout.observe(this);
  }

  start(): void {
    this.#task.startLater();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  published(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if ((envelope.to !== 'room' && envelope.to !== 'user') || envelope.event !== 'read') continue;
      if (this.#marks.size >= mostMarks) return;
      const mark = JSON.parse(envelope.json) as Mark;
      this.#marks.set(`${mark.user}\n${mark.room}`, mark);
      this.#task.wake(gatherMs);
    }
  }

  async #run(): Promise<void> {
    const marks = [...this.#marks.values()];
    this.#marks.clear();
    for (let at = 0; at < marks.length; at += marksAtOnce) await this.#mark(marks.slice(at, at + marksAtOnce));
  }

  async #mark(marks: readonly Mark[]): Promise<void> {
    const json = JSON.stringify(marks.map(({ user, room, seq }) => [user, room, seq]));
    const rows = await this.#parts.sql<ReadRow[]>`
      update notifications n set
        state = case when n.state = 'waiting' then 'dropped' else 'read' end,
        reason = case when n.state = 'waiting' then 'read' end, updated_at = clock_timestamp()
      from jsonb_array_elements(${json}::text::jsonb) as k (v)
      where n.user_id = k.v ->> 0 and n.room_id = k.v ->> 1 and n.seq <= (k.v ->> 2)::bigint
        and n.state in ('waiting', 'sent', 'shown')
      returning n.id, n.lane, n.state, n.channel, n.user_id as user, n.device, n.room_id as room, n.seq`;
    const cancelled = rows.filter(({ state }) => state === 'dropped');
    if (cancelled.length > 0) await this.#parts.lanes.cancel(cancelled);
    await addClears(
      rows.filter(({ channel, state }) => channel === 'push' && state === 'read'),
      this.#parts,
    );
  }
}
