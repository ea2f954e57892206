/**
 * The rows of uploads. States:
 *
 * absent ── `create` ──▶ open ── `complete` ──▶ complete ── `claim` ──▶ complete, of a message;
 * open, complete ── the owner ends it, or no message names it for a day ──▶ removed ── its bytes are gone ──▶ absent.
 *
 * A removed row is never claimed or read again. Its bytes go after that, so a failure between the two leaves no file behind.
 */
import { membership } from '../rooms/access.ts';
import type { postgres } from '../storage/sql.ts';

export interface UploadRow {
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  /** Null while bytes are missing. */
  readonly type: string | null;
  readonly bytes: number;
  readonly state: 'open' | 'complete';
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

export interface UploadLimits {
  readonly maxOpenPerUser: number;
  readonly maxBytesPerUser: number;
}

/** A message by the id that its sender gave. */
export interface MessageRef {
  readonly room: string;
  readonly message: string;
}

/** The owner of a file and the message that names it, for a reader. */
export interface ReadableRow extends UploadRow {
  readonly room: string | null;
  /** Whether a message names the file, and the reader is a member of its room. */
  readonly shown: boolean;
  /** Whether no message names the file yet, so that its owner may read it. */
  readonly pending: boolean;
}

export class UploadRows {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;

  constructor(sql: postgres.Sql, reads: postgres.Sql) {
    this.#sql = sql;
    this.#reads = reads;
  }

  /** @returns `open` or `bytes` for the limit that refuses the upload */
  async create(
    { id, owner, name, bytes }: Pick<UploadRow, 'id' | 'owner' | 'name' | 'bytes'>,
    { maxOpenPerUser, maxBytesPerUser }: UploadLimits,
  ): Promise<'ok' | 'open' | 'bytes'> {
    const [row] = await this.#sql<{ outcome: 'ok' | 'open' | 'bytes' }[]>`
      select create_upload(${id}, ${owner}, ${name}, ${bytes}, ${maxOpenPerUser}, ${maxBytesPerUser}) as outcome`;
    if (row === undefined) throw new Error('create_upload returned no row');
    return row.outcome;
  }

  /** @returns undefined for a removed upload too */
  async get(id: string): Promise<UploadRow | undefined> {
    const sql = this.#sql;
    const [row] = await sql<UploadRow[]>`
      select ${columns(sql)} from uploads u where u.id = ${id} and u.state <> 'removed'`;
    return row;
  }

  async complete(id: string, type: string): Promise<void> {
    await this.#sql`update uploads set state = 'complete', type = ${type} where id = ${id} and state = 'open'`;
  }

  /** @returns whether this call removed it */
  async remove(id: string): Promise<boolean> {
    const rows = await this.#sql`
      update uploads u set state = 'removed' where u.id = ${id} and u.state <> 'removed'
        and not ${inUse(this.#sql)} returning u.id`;
    return rows.length > 0;
  }

  /** The bytes are gone. */
  async forget(id: string): Promise<void> {
    await this.#sql`delete from uploads where id = ${id} and state = 'removed'`;
  }

  /**
   * Gives complete files of a user to a message: all of them, or none.
   * @returns the files with their facts; fewer than `ids` if one of them cannot be given
   */
  async claim(ids: readonly string[], owner: string, { room, message }: MessageRef): Promise<UploadRow[]> {
    const sql = this.#sql;
    return sql<UploadRow[]>`
      with free as materialized (
        select u.id from uploads u
        where u.id = any (${ids}::uuid[]) and u.owner_id = ${owner} and u.state = 'complete'
          and (u.message_id is null or (u.room_id, u.message_id) = (${room}, ${message}::uuid))
        order by u.id for no key update
      )
      update uploads u set room_id = ${room}, message_id = ${message}, claimed_at = clock_timestamp()
      from free f where u.id = f.id and (select count(*) from free) = ${ids.length}
      returning ${columns(sql)}`;
  }

  /** The message was refused. A message that was stored all the same keeps its files. */
  async release(ids: readonly string[], { room, message }: MessageRef): Promise<void> {
    await this.#sql`
      with claimed as materialized (
        select u.id from uploads u
        where u.id = any (${ids}::uuid[]) and u.room_id = ${room} and u.message_id = ${message}::uuid
        order by u.id for no key update
      )
      update uploads u set room_id = null, message_id = null, claimed_at = null
      from claimed c where u.id = c.id and not exists (${messageOf(this.#sql)})`;
  }

  /** The id of a message that its author edits. */
  async idOfMessage(room: string, seq: number): Promise<string | undefined> {
    const [row] = await this.#sql<{ id: string }[]>`
      select t.id from messages t where t.room_id = ${room} and t.seq = ${seq} and t.deleted_at is null`;
    return row?.id;
  }

  /** A complete file, and whether this user may read it because of a message. */
  async readable(id: string, user: string): Promise<ReadableRow | undefined> {
    const sql = this.#reads;
    const [row] = await sql<ReadableRow[]>`
      select ${columns(sql)}, u.room_id as room, ${inUse(sql)} and exists (
          select from rooms r join ${membership(sql, user)} where r.id = u.room_id
        ) as shown, ${pending(sql)} as pending
      from uploads u where u.id = ${id} and u.state = 'complete'`;
    return row;
  }

  /** A complete file for the holder of a link. A file that was of a message ends with the message. */
  async linked(id: string): Promise<UploadRow | undefined> {
    const sql = this.#reads;
    const [row] = await sql<UploadRow[]>`
      select ${columns(sql)} from uploads u
      where u.id = ${id} and u.state = 'complete' and (${pending(sql)} or ${inUse(sql)})`;
    return row;
  }

  /** Takes the right to write an upload until a time. @returns whether the caller has it */
  async hold(id: string, holder: string, ms: number): Promise<boolean> {
    const rows = await this.#sql`
      update uploads set held_by = ${holder}, held_until = clock_timestamp() + ${ms} * interval '1 ms'
      where id = ${id} and (held_by is null or held_by = ${holder} or held_until < clock_timestamp())
      returning id`;
    return rows.length > 0;
  }

  async letGo(id: string, holder: string): Promise<void> {
    await this.#sql`update uploads set held_by = null, held_until = null where id = ${id} and held_by = ${holder}`;
  }
}

/** The message of the upload `u`, if it is stored and names the file. A deleted message has no body, so it names nothing. */
function messageOf(sql: postgres.ISql): postgres.Fragment {
  return sql`
    select from messages t where t.room_id collate "POSIX" = u.room_id and t.id = u.message_id
      and jsonb_path_exists(t.body, '$.files[*] ? (@.upload == $id || @.thumbnail == $id)', jsonb_build_object('id', u.id))`;
}

/** Whether a stored message names the upload `u`. Messages that have expired are gone for readers before their rows are. */
export function inUse(sql: postgres.ISql): postgres.Fragment {
  return sql`exists (${messageOf(sql)} and t.seq >= (select r.first_seq from rooms r where r.id = t.room_id))`;
}

/** Whether the upload `u` is of no message, or of one that is being stored: a client shows its message before the ack. */
function pending(sql: postgres.ISql): postgres.Fragment {
  return sql`(u.message_id is null or u.claimed_at > clock_timestamp() - interval '1 minute' and not exists (
      select from messages t where t.room_id collate "POSIX" = u.room_id and t.id = u.message_id))`;
}

function columns(sql: postgres.ISql): postgres.Fragment {
  return sql`u.id, u.owner_id as owner, u.name, u.type, u.bytes, u.state, u.created_at as "createdAt"`;
}
