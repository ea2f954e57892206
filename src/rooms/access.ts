/**
 * Access: whether a user may read a room. Each statement that reads a room's rows reads the access with them, so both come
 * from one snapshot. The contract of every such statement:
 *
 * 1. The statement has the room as `r` and the user's membership as `m`. `m.role` is null for a user that is no member.
 * 2. Rows of the room are joined only where `m.role is not null`, so a refused read costs no page.
 * 3. The statement returns `r.kind` and `m.role`, also where no row of the room is found. The caller passes them to
 *    `requireMember` before it uses anything else.
 *
 * No row at all means that there is no such room. A room that the user may not see does not exist for the user.
 */
import type { postgres } from '../storage/sql.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Role, RoomKind } from '../protocol/model.ts';
import { may, type ActionName } from '../protocol/permissions.ts';

/** The columns of access: `r.kind, m.role`. */
export interface Access {
  readonly kind: RoomKind;
  /** Null: the user is no member. */
  readonly role: Role | null;
}

/** The membership `m` of a user in the room `r`. After `join` only the user's rooms stay, after `left join` all rooms. */
export function membership(sql: postgres.ISql, user: string): postgres.Fragment {
  return sql`members m on m.room_id = r.id and m.user_id = ${user}`;
}

/**
 * The room `r` with the user's membership `m`, if any: a `from` list and its condition.
 * @param room the id, or a column that has it
 */
export function roomAccess(sql: postgres.ISql, user: string, room: string | postgres.Fragment): postgres.Fragment {
  return sql`rooms r left join ${membership(sql, user)} where r.id = ${room}`;
}

/** @throws {ParleyError} `not_found` or `not_member`, unless there is the room and the user is a member. */
export function requireMember<A extends Access>(access: A | undefined): asserts access is A & { readonly role: Role } {
  if (access === undefined) throw new ParleyError('not_found');
  if (access.role === null) throw new ParleyError(access.kind === 'channel' ? 'not_member' : 'not_found');
}

/** Access alone, for reads whose rows need another statement. @throws {ParleyError} as `requireMember` */
export async function readAccess(
  sql: postgres.Sql,
  user: string,
  room: string,
): Promise<Access & { readonly role: Role }> {
  const [access] = await sql<Access[]>`select r.kind, m.role from ${roomAccess(sql, user, room)}`;
  requireMember(access);
  return access;
}

/** @throws {ParleyError} unless the user may do this in the room. Only for reads: writes check their rights in SQL. */
export async function requireRight(sql: postgres.Sql, user: string, room: string, action: ActionName): Promise<void> {
  const { kind, role } = await readAccess(sql, user, room);
  if (!may(action, kind, role)) throw new ParleyError('forbidden');
}

/**
 * For commands that no statement checks, from callers whose memberships this node does not have in memory.
 * @throws {ParleyError} unless the user may send signals in the room now
 */
export async function requireSignalRight(sql: postgres.Sql, user: string, room: string): Promise<void> {
  const [access] = await sql<(Access & { readonly muted: boolean | null })[]>`
    select r.kind, m.role, m.muted_until > clock_timestamp() as muted from ${roomAccess(sql, user, room)}`;
  requireMember(access);
  if (access.muted === true || !may('signal', access.kind, access.role)) throw new ParleyError('forbidden');
}
