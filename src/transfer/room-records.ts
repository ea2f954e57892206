/** The other records of a room as lines of an export: follows, bans, mutes, departures, invitations, links. */
import type { postgres } from '../storage/sql.ts';
import { muteColumns, type MuteRow } from '../rooms/summary.ts';
import type { Counts, LineOf } from './lines.ts';

type RoomRecord = LineOf<'follow' | 'ban' | 'mute' | 'departure' | 'invitation' | 'link'>;

export interface RecordRow {
  readonly line: RoomRecord;
  /** Users and their names, which the file has before the line. */
  readonly names?: readonly (readonly [user: string, name: string | null])[];
}

export interface RecordPart {
  readonly count: keyof Counts;
  /** The rows behind a key; `next` is the key to go on from. */
  readonly page: (
    after: string,
    limit: number,
  ) => Promise<{ readonly rows: readonly RecordRow[]; readonly next: string | undefined }>;
}

/** @param first of the messages in the file: threads from before are not in it */
export function recordParts(tx: postgres.TransactionSql, room: string, first: number): RecordPart[] {
  return [
    byUser('follows', async (after, limit) => {
      const [, root = '0', user = ''] = /^(\d+) (.*)$/.exec(after) ?? [];
      const rows = await tx<Omit<LineOf<'follow'>, 'type'>[]>`
        select f.root, f.user_id as user, f.read_seq as read, f.followed_at as at from thread_follows f
        where f.room_id = ${room} and f.root >= ${first} and (f.root, f.user_id) > (${Number(root)}, ${user})
        order by f.root, f.user_id limit ${limit}`;
      return rows.map((row) => ({ key: `${row.root} ${row.user}`, line: { type: 'follow', ...row } }));
    }),
    byUser('bans', async (after, limit) => {
      const rows = await tx<(Omit<LineOf<'ban'>, 'type'> & { name: string | null })[]>`
        select b.user_id as user, b.banned_by as by, b.reason, b.at, u.name from bans b left join users u on u.id = b.user_id
        where b.room_id = ${room} and b.user_id > ${after} order by b.user_id limit ${limit}`;
      return rows.map(({ name, ...row }) => ({
        key: row.user,
        names: [[row.user, name]],
        line: { type: 'ban', ...row },
      }));
    }),
    byUser('mutes', async (after, limit) => {
      const rows = await tx<({ user: string } & MuteRow)[]>`
        select m.user_id as user, ${muteColumns(tx)} from kept_mutes m
        where m.room_id = ${room} and m.user_id > ${after} and m.muted_until > now() order by m.user_id limit ${limit}`;
      return rows.map(({ user, muted_until: until }) => ({ key: user, line: { type: 'mute', user, until } }));
    }),
    byUser('departures', async (after, limit) => {
      const rows = await tx<
        { user: string; left: number | null; sent: number | null; guest: boolean; name: string | null }[]
      >`
        select d.user_id as user, d.left_at as left, d.last_sent_at as sent, d.was_guest as guest, u.name
        from departures d left join users u on u.id = d.user_id
        where d.room_id = ${room} and d.user_id > ${after} order by d.user_id limit ${limit}`;
      return rows.map(({ user, left, sent, guest, name }) => ({
        key: user,
        names: [[user, name]],
        line: {
          type: 'departure',
          user,
          left,
          ...(sent === null ? {} : { sent }),
          ...(guest ? { guest } : {}),
        },
      }));
    }),
    byUser('invitations', async (after, limit) => {
      const rows = await tx<(Omit<LineOf<'invitation'>, 'type'> & { name: string | null })[]>`
        select i.user_id as user, i.role, i.invited_by as by, i.at, i.expires_at as expires, u.name
        from invitations i left join users u on u.id = i.user_id
        where i.room_id = ${room} and i.user_id > ${after} and i.expires_at > now() order by i.user_id limit ${limit}`;
      return rows.map(({ name, ...row }) => ({
        key: row.user,
        names: [[row.user, name]],
        line: { type: 'invitation', ...row },
      }));
    }),
    byUser('links', async (after, limit) => {
      const rows = await tx<Omit<LineOf<'link'>, 'type'>[]>`
        select l.id, encode(l.token_hash, 'hex') as hash, l.role, l.made_by as by, l.at, l.expires_at as expires,
          l.max_uses as "maxUses", l.uses
        from join_links l
        where l.room_id = ${room} and l.id > ${after} and (l.expires_at is null or l.expires_at > now())
        order by l.id limit ${limit}`;
      return rows.map((row) => ({ key: row.id, line: { type: 'link', ...row } }));
    }),
  ];
}

function byUser(
  count: keyof Counts,
  read: (after: string, limit: number) => Promise<(RecordRow & { key: string })[]>,
): RecordPart {
  return {
    count,
    async page(after, limit) {
      const rows = await read(after, limit);
      return { rows, next: rows.length < limit ? undefined : rows.at(-1)?.key };
    },
  };
}
