/**
 * Clears: a user who has read a room on one device has its notifications taken off the screens of the others. A clear is best
 * effort and has no row. A device with a newer push of the room gets none, because the clear would replace that push.
 */
import type { DeviceKind } from '../../protocol/devices.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobHandler, Json, LaneJob, Lanes } from '../lanes/lanes.ts';
import { notificationId } from '../notification-id.ts';
import { isPaused } from '../channels/channel.ts';
import type { CleanUp } from '../channels/clean-up.ts';
import { clearPayload, tagOf } from './payload.ts';
import { unreadOf } from './push-rows.ts';
import type { Transport } from './transport.ts';

/** The name of the handler in the lanes. */
export const clearJobKind = 'push-clear';

const lane = 'normal';
const ttlMs = 24 * 3_600_000;
/** A clear that came so late helps nobody. */
const giveUpMs = 3_600_000;

/** A row of a device that was shown and is read now. */
export interface Cleared {
  readonly user: string;
  readonly device: string;
  readonly room: string;
  readonly seq: number;
}

interface AddParts {
  readonly lanes: Pick<Lanes, 'add'>;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** One job for a device and a room, up to the latest of its rows. */
function clearJobs(rows: readonly Cleared[], now: number): LaneJob[] {
  const last = new Map<string, Cleared>();
  for (const row of rows) {
    const key = `${row.device}\n${row.room}`;
    if (row.seq > (last.get(key)?.seq ?? 0)) last.set(key, row);
  }
  return [...last.values()].map(({ user, device, room, seq }) => ({
    id: `clear-${notificationId({ room, seq, user, channel: 'push', device })}`,
    lane,
    kind: clearJobKind,
    data: { device, room, upTo: seq },
    expires: now + giveUpMs,
  }));
}

/** Best effort: without the lanes the devices show notifications that are read. */
export async function addClears(rows: readonly Cleared[], { lanes, now, metrics, log }: AddParts): Promise<void> {
  if (rows.length === 0) return;
  try {
    await lanes.add(clearJobs(rows, now()));
  } catch (err) {
    metrics.notifications.failures.inc({ step: 'jobs' });
    log.debug({ err }, 'Could not add the jobs that clear devices; the devices show notifications that are read.');
  }
}

export interface ClearParts {
  readonly sql: postgres.Sql;
  readonly transports: Readonly<Partial<Record<DeviceKind, Transport>>>;
  readonly cleanUp: CleanUp;
}

interface Row {
  readonly channel: DeviceKind;
  readonly address: string;
  readonly secrets: string | null;
  readonly newer: boolean;
  readonly unread: number;
}

/** The handler of these jobs. A failure is tried again by the lanes. */
export function clearHandler({ sql, transports, cleanUp }: ClearParts): JobHandler {
  return async ({ data }, signal) => {
    const { device, room, upTo } = clearOf(data);
    const [row] = await sql<Row[]>`
      select n.channel, n.address, n.secrets, ${unreadOf(sql)} as unread, exists (
        select from notifications l where l.user_id = n.user_id and l.room_id = ${room} and l.seq > ${upTo}
          and l.channel = 'push' and l.device = n.id::text and l.state in ('sending', 'unknown', 'sent', 'shown')) as newer
      from devices n where n.id = ${device}::uuid`;
    const transport = row && transports[row.channel];
    if (row === undefined || row.newer || transport === undefined) return { done: true };
    const payload = clearPayload(room, upTo, row.unread);
    const outcome = await transport.send(row, { payload, lane, topic: tagOf(room), ttlMs }, signal);
    const provider = transport.providerOf(row.address);
    if (outcome !== undefined && !isPaused(outcome)) cleanUp.note(provider, outcome);
    if (outcome?.kind === 'gone') await cleanUp.remove({ id: device, address: row.address, provider });
    if (outcome === undefined || outcome.kind === 'failed')
      throw new Error(outcome === undefined ? 'The node stopped during the attempt.' : outcome.error);
    return { done: true };
  };
}

/** @throws {TypeError} for data of another job */
function clearOf(data: Json): { device: string; room: string; upTo: number } {
  const { device, room, upTo } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<
    Record<string, Json>
  >;
  if (typeof device !== 'string' || typeof room !== 'string' || typeof upTo !== 'number')
    throw new TypeError('The job of a clear has no device, room and seq.');
  return { device, room, upTo };
}
