import type { postgres } from '../storage/sql.ts';
import type { Invitation, RoomKind } from '../protocol/model.ts';

interface InvitationRow {
  room_id: string;
  kind: RoomKind;
  room_name: string | null;
  user_id: string;
  role: Invitation['role'];
  invited_by: string;
  by_name: string | null;
  at: number;
  expires_at: number;
}

/** @param where of `i`, a row of `invitations`; it fixes the user or the room, and the other one gives the order */
export async function invitationsWhere(
  sql: postgres.Sql,
  where: postgres.Fragment,
  limit: number,
): Promise<Invitation[]> {
  const rows = await sql<InvitationRow[]>`
    select i.room_id, r.kind, r.name as room_name, i.user_id, i.role, i.invited_by, u.name as by_name, i.at, i.expires_at
    from invitations i join rooms r on r.id = i.room_id left join users u on u.id = i.invited_by
    where i.expires_at > now() and ${where} order by i.room_id, i.user_id limit ${limit}`;
  return rows.map((row) => ({
    room: row.room_id,
    kind: row.kind,
    name: row.room_name,
    user: row.user_id,
    role: row.role,
    by: row.invited_by,
    byName: row.by_name,
    at: row.at,
    expires: row.expires_at,
  }));
}
