/** Stores the records of a room beside its messages and members (room-records.ts). */
import type { postgres } from '../storage/sql.ts';
import type { LineOf } from './lines.ts';

/**
 * A room that existed with members before the import gets only follows of new threads by members. A ban that was lifted, a
 * link that was revoked or a thread that was unfollowed must not come back with an old file.
 * @param shared the room existed with members
 * @param of the lines of a kind in this batch, as a JSON list
 */
export async function storeRecords(
  tx: postgres.TransactionSql,
  { room, shared }: { readonly room: string; readonly shared: boolean },
  of: (type: LineOf<'follow' | 'ban' | 'mute' | 'departure' | 'invitation' | 'link'>['type']) => string,
): Promise<void> {
  const follows = of('follow');
  if (follows !== '[]') {
    await tx`
      insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
      select ${room}, f.root, f."user", least(f.read, r.last_seq), to_timestamp(f.at / 1000.0)
      from jsonb_to_recordset(${follows}::text::jsonb) as f (root bigint, "user" text, read bigint, at bigint)
      join rooms r on r.id = ${room}
      where not ${shared} or (
        not exists (select from threads t where t.room_id = ${room} and t.root = f.root)
        and exists (select from members m where m.room_id = ${room} and m.user_id = f."user"))
      on conflict do nothing`;
  }
  if (shared) return;
  const [bans, mutes, departures] = [of('ban'), of('mute'), of('departure')];
  const [invitations, links] = [of('invitation'), of('link')];
  if (bans !== '[]') {
    await tx`
      insert into bans (room_id, user_id, banned_by, reason, at)
      select ${room}, b."user", b.by, b.reason, to_timestamp(b.at / 1000.0)
      from jsonb_to_recordset(${bans}::text::jsonb) as b ("user" text, by text, reason text, at bigint) on conflict do nothing`;
  }
  if (mutes !== '[]') {
    await tx`
      insert into kept_mutes (room_id, user_id, muted_until)
      select ${room}, m."user", coalesce(to_timestamp(m.until / 1000.0), 'infinity')
      from jsonb_to_recordset(${mutes}::text::jsonb) as m ("user" text, until bigint) on conflict do nothing`;
  }
  if (departures !== '[]') {
    await tx`
      insert into departures (room_id, user_id, left_at, last_sent_at, was_guest)
      select ${room}, d."user", to_timestamp(d."left" / 1000.0), to_timestamp(d.sent / 1000.0), coalesce(d.guest, false)
      from jsonb_to_recordset(${departures}::text::jsonb) as d ("user" text, "left" bigint, sent bigint, guest boolean)
      on conflict do nothing`;
  }
  if (invitations !== '[]') {
    await tx`
      insert into invitations (room_id, user_id, role, invited_by, at, expires_at)
      select ${room}, i."user", i.role, i.by, to_timestamp(i.at / 1000.0), to_timestamp(i.expires / 1000.0)
      from jsonb_to_recordset(${invitations}::text::jsonb) as i ("user" text, role text, by text, at bigint, expires bigint)
      on conflict do nothing`;
  }
  if (links !== '[]') {
    await tx`
      insert into join_links (room_id, id, token_hash, role, made_by, at, expires_at, max_uses, uses)
      select ${room}, l.id, decode(l.hash, 'hex'), l.role, l.by, to_timestamp(l.at / 1000.0), to_timestamp(l.expires / 1000.0),
        l."maxUses", l.uses
      from jsonb_to_recordset(${links}::text::jsonb) as l (
        id text, hash text, role text, by text, at bigint, expires bigint, "maxUses" integer, uses integer)
      on conflict do nothing`;
  }
}
