/** The users whom the commits of the outbox may notify, with the facts for `decide`. */
import type { Lane } from '../protocol/lanes.ts';
import { channelOfKind } from '../protocol/devices.ts';
import type { Channel, NotificationKind, RoomPreferences, UserPreferences } from '../protocol/notifications.ts';
import type { postgres } from '../storage/sql.ts';
import type { Facts } from './decide.ts';

/** A part of a row of the outbox. `seq` is the first seq of a commit of messages, and absent for changes. */
export interface OutboxEntry {
  readonly room: string;
  readonly from: number;
  readonly to: number;
  readonly seq?: number;
  /** The lanes of messages that have one, by seq. */
  readonly lanes: Readonly<Record<string, Lane>> | null;
}

export interface FactRow {
  readonly room_id: string;
  readonly seq: number;
  readonly user_id: string;
  readonly kind: NotificationKind;
  readonly at: number;
  readonly room_kind: Facts['roomKind'];
  readonly gone: 'deleted' | 'expired' | null;
  readonly is_member: boolean;
  readonly has_blocked: boolean;
  readonly read_seq: number;
  /** JSON texts. */
  readonly of_room: string | null;
  readonly of_user: string | null;
}

/** A recipient of a message. */
export interface CandidateRow extends FactRow {
  /** The devices of the user by comma, each as its kind and its id; null: the user has none. */
  readonly devices: string | null;
}

/** Rows of one statement: a mention of everybody in a large room takes several. */
export const candidatesAtOnce = 5000;

export interface DeviceKey {
  readonly channel: Exclude<Channel, 'app'>;
  readonly id: string;
}

/** A kind that only a later release knows has no channel here. */
export function devicesOf({ devices }: Pick<CandidateRow, 'devices'>): readonly DeviceKey[] {
  return (devices?.split(',') ?? []).flatMap((text) => {
    const [kind = '', id = ''] = text.split(' ');
    const channel = (channelOfKind as Partial<Record<string, DeviceKey['channel']>>)[kind];
    return channel === undefined ? [] : [{ channel, id }];
  });
}

/** The pages of candidates, in the order of room, seq and user. */
export async function* candidatesOf(
  tx: postgres.ISql,
  entries: readonly OutboxEntry[],
  atOnce = candidatesAtOnce,
): AsyncGenerator<readonly CandidateRow[]> {
  const json = JSON.stringify(
    joined(entries).map(({ room, from, to, seq }) => [
      room,
      seq ?? null,
      seq === undefined ? null : seq + to - from,
      from,
      to,
    ]),
  );
  let last: CandidateRow | undefined;
  do {
    const { room_id: room, seq, user_id: user } = last ?? { room_id: '', seq: 0, user_id: '' };
    const page = await tx<CandidateRow[]>`
      select c.*, (select string_agg(d.channel || ' ' || d.id, ',' order by d.id) from devices d where d.user_id = c.user_id) as devices
      from notification_candidates(${json}::text::jsonb, ${room}, ${seq}::bigint, ${user}, ${atOnce}) c`;
    if (page.length > 0) yield page;
    last = page.length < atOnce ? undefined : page.at(-1);
  } while (last !== undefined);
}

type Range = Pick<OutboxEntry, 'room' | 'from' | 'to' | 'seq'>;

/** Commits of a room that follow each other are one range, which costs one lookup of each kind. */
export function joined(entries: readonly Range[]): readonly Range[] {
  const last = new Map<string, number>();
  const ranges: Range[] = [];
  for (const { room, from, to, seq } of entries) {
    const at = last.get(room);
    const before = at === undefined ? undefined : ranges[at];
    if (at !== undefined && before !== undefined && follows(before, { from, seq })) {
      ranges[at] = { ...before, to };
      continue;
    }
    last.set(room, ranges.length);
    ranges.push({ room, from, to, ...(seq === undefined ? {} : { seq }) });
  }
  return ranges;
}

function follows(before: Range, { from, seq }: { from: number; seq: number | undefined }): boolean {
  if (from !== before.to + 1) return false;
  if (seq === undefined || before.seq === undefined) return seq === before.seq;
  return seq === before.seq + before.to - before.from + 1;
}

/** The facts of a row, for the channel of the connections where no other one is given. */
export function factsOf(
  row: FactRow,
  lane: Lane,
  active: Facts['active'],
  ofChannel: Pick<Facts, 'channel' | 'devices'> & Partial<Facts> = { channel: 'app', devices: 0 },
): Facts {
  return {
    kind: row.kind,
    lane,
    roomKind: row.room_kind,
    seq: row.seq,
    at: row.at,
    gone: row.gone ?? undefined,
    isMember: row.is_member,
    hasBlocked: row.has_blocked,
    read: row.read_seq,
    ofRoom: row.of_room === null ? undefined : (JSON.parse(row.of_room) as RoomPreferences),
    ofUser: row.of_user === null ? undefined : (JSON.parse(row.of_user) as UserPreferences),
    active,
    ...ofChannel,
  };
}

/** The lane of a message without one. */
export function laneOf(kind: NotificationKind, lane: Lane | undefined): Lane {
  return lane ?? (kind === 'mention' || kind === 'everybody' || kind === 'direct' ? 'high' : 'normal');
}

/** The lanes of messages, by room and seq. */
export class EntryLanes {
  readonly #byRoom = new Map<string, Record<string, Lane>>();

  constructor(entries: readonly OutboxEntry[]) {
    for (const { room, lanes } of entries) {
      if (lanes !== null) this.#byRoom.set(room, { ...this.#byRoom.get(room), ...lanes });
    }
  }

  of({ room_id: room, seq, kind }: Pick<FactRow, 'room_id' | 'seq' | 'kind'>): Lane {
    return laneOf(kind, this.#byRoom.get(room)?.[seq]);
  }
}
