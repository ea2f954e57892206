/** The channel `push`: a push to one device, by the transport of its kind. */
import type { DeviceKind } from '../../protocol/devices.ts';
import type { UserPreferences } from '../../protocol/notifications.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Outcome, OutwardChannel } from '../channels/channel.ts';
import type { Facts } from '../decide.ts';
import type { LaneJob, Lanes } from '../lanes/lanes.ts';
import { addClears } from './clear.ts';
import { messagePayload, tagOf } from './payload.ts';
import { pushFacts, pushRows, type PushRow } from './push-rows.ts';
import type { Transport } from './transport.ts';

export interface PushParts {
  /** A push is of no use after this time since its message. */
  readonly ttlMs: number;
  readonly sql: postgres.Sql;
  readonly transports: Readonly<Partial<Record<DeviceKind, Transport>>>;
  /** For the clears. */
  readonly lanes: Pick<Lanes, 'add'>;
  /** The clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class PushChannel implements OutwardChannel<PushRow> {
  readonly name = 'push';
  readonly #parts: PushParts;

  constructor(parts: PushParts) {
    this.#parts = parts;
  }

  rows(jobs: readonly LaneJob[]): Promise<readonly PushRow[]> {
    return pushRows(this.#parts.sql, jobs);
  }

  facts(row: PushRow): Partial<Facts> {
    return pushFacts(row, this.#parts.ttlMs);
  }

  providerOf({ device_kind: kind, address }: PushRow): string {
    const transport = kind === null ? undefined : this.#parts.transports[kind];
    return address === null ? '' : (transport?.providerOf(address) ?? '');
  }

  send(row: PushRow, signal: AbortSignal): Promise<Outcome | undefined> {
    const { transports, ttlMs, now } = this.#parts;
    const { device_kind: kind, address, secrets, lane, at, room_id: room } = row;
    const transport = kind === null ? undefined : transports[kind];
    if (transport === undefined || address === null) {
      const error = `This node sends no pushes of the kind ${kind ?? 'none'}.`;
      return Promise.resolve({ kind: 'failed', error, isPaused: true });
    }
    const { content } = (row.of_user === null ? {} : JSON.parse(row.of_user)) as UserPreferences;
    const push = { payload: messagePayload(row, content), lane, topic: tagOf(room) };
    return transport.send({ address, secrets }, { ...push, ttlMs: Math.max(0, at + ttlMs - now()) }, signal);
  }

  read(rows: readonly PushRow[]): Promise<void> {
    const cleared = rows.map(({ user_id: user, device, room_id: room, seq }) => ({ user, device, room, seq }));
    return addClears(cleared, this.#parts);
  }
}
