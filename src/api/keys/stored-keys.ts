/**
 * The table of API keys. Every change of a key replaces the version in `api_key_changes` in the same transaction. Expiry and
 * the end of a former secret go by the clock of Postgres.
 */
import { ParleyError } from '../../protocol/errors.ts';
import type { KeyCreateInput, KeyRevokeInput, KeyRotateInput, KeyView, KeyWithSecret } from '../../protocol/keys.ts';
import type { Scope } from '../../protocol/scopes.ts';
import type { postgres } from '../../storage/sql.ts';
import { clientError } from '../../storage/failure.ts';
import { hashOf, keyText, newKeyId, newSecret } from './key-text.ts';

export interface KeySettings {
  /** The most keys. */
  readonly maxKeys: number;
  /** Requests per hour of a key without a rate of its own. */
  readonly requestsPerHour: number;
  /** How long the former secret stays valid after a rotation. */
  readonly overlapMs: number;
}

/** The changes and reads of keys, for the command line and REST. Inputs have passed the schemas of protocol/keys.ts. */
export interface KeyManagement {
  /** @throws {ParleyError} `limit_reached`, `invalid` */
  create(input: KeyCreateInput): Promise<KeyWithSecret>;
  /** Oldest first. */
  list(): Promise<KeyView[]>;
  /** @throws {ParleyError} `not_found` */
  rotate(input: KeyRotateInput): Promise<KeyWithSecret>;
  /** Every node refuses the key within a second. @throws {ParleyError} `not_found` */
  revoke(input: KeyRevokeInput): Promise<KeyView>;
}

/** A row of `api_keys`. */
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly secret_hash: Buffer;
  readonly previous_hash: Buffer | null;
  readonly previous_until: number | null;
  readonly scopes: Scope[];
  readonly rooms: string[];
  readonly networks: string[];
  readonly per_hour: number | null;
  readonly expires_at: number | null;
  readonly created_at: number;
  readonly rotated_at: number | null;
  readonly used_at: number | null;
}

/** The version, and all keys at that version. */
export interface KeySet {
  readonly version: string;
  readonly rows: readonly KeyRow[];
}

export class StoredKeys implements KeyManagement {
  readonly #sql: postgres.Sql;
  readonly #settings: KeySettings;

  constructor(sql: postgres.Sql, settings: KeySettings) {
    this.#sql = sql;
    this.#settings = settings;
  }

  async create(input: KeyCreateInput): Promise<KeyWithSecret> {
    const { maxKeys } = this.#settings;
    const secret = newSecret();
    const row = await explained(
      this.#sql.begin(async (sql) => {
        // a statement of its own: the count below needs a snapshot that begins after the lock
        const [{ at }] = await sql<[{ at: number }]>`
          update api_key_changes set version = gen_random_uuid()
          returning floor(extract(epoch from clock_timestamp()) * 1000)::int8 as at`;
        if (input.expiresAt !== undefined && input.expiresAt <= at)
          throw new ParleyError('invalid', 'The key would have expired already: expiresAt is in the past.');
        const [created] = await sql<KeyRow[]>`
          insert into api_keys (id, name, secret_hash, scopes, rooms, networks, per_hour, expires_at)
          select ${newKeyId()}, ${input.name}, ${hashOf(secret)}::bytea, ${[...new Set(input.scopes)]}::text[],
            ${[...new Set(input.rooms)]}::text[], ${[...new Set(input.networks)]}::text[],
            ${input.perHour ?? null}::integer, ${input.expiresAt ?? null}::timestamptz
          where (select count(*) from api_keys) < ${maxKeys}
          returning *`;
        return created;
      }),
    );
    if (row === undefined)
      throw new ParleyError('limit_reached', `There are ${maxKeys} API keys already; revoke one of them first.`);
    return { key: this.#viewOf(row), text: keyText(row.id, secret) };
  }

  async list(): Promise<KeyView[]> {
    const rows = await explained(
      this.#sql<KeyRow[]>`
        select id, name, secret_hash, previous_hash, case when previous_until > clock_timestamp() then previous_until end as previous_until,
          scopes, rooms, networks, per_hour, expires_at, created_at, rotated_at, used_at
        from api_keys order by created_at, id`,
    );
    return rows.map((row) => this.#viewOf(row));
  }

  async rotate({ id, overlapMs = this.#settings.overlapMs }: KeyRotateInput): Promise<KeyWithSecret> {
    const secret = newSecret();
    const [row] = await explained(
      this.#sql<KeyRow[]>`
        with rotated as (
          update api_keys set
            previous_hash = case when ${overlapMs}::int8 > 0 then secret_hash end,
            previous_until = case when ${overlapMs}::int8 > 0 then clock_timestamp() + ${overlapMs}::int8 * interval '1 ms' end,
            secret_hash = ${hashOf(secret)}::bytea, rotated_at = clock_timestamp()
          where id = ${id} returning *
        ), noted as (
          update api_key_changes set version = gen_random_uuid() where exists (select from rotated)
        )
        select * from rotated`,
    );
    if (row === undefined) throw unknownKey(id);
    return { key: this.#viewOf(row), text: keyText(id, secret) };
  }

  async revoke({ id }: KeyRevokeInput): Promise<KeyView> {
    const [row] = await explained(
      this.#sql<KeyRow[]>`
        with revoked as (
          delete from api_keys where id = ${id} returning *
        ), noted as (
          update api_key_changes set version = gen_random_uuid() where exists (select from revoked)
        )
        select * from revoked`,
    );
    if (row === undefined) throw unknownKey(id);
    return this.#viewOf(row);
  }

  /** All keys, in one snapshot with their version. @returns undefined if the version is the known one. */
  async changedSince(known: string | undefined): Promise<KeySet | undefined> {
    const rows = await explained(
      this.#sql<(KeyRow & { version: string; id: string | null })[]>`
        select c.version, k.* from api_key_changes c left join api_keys k on true
        where c.version is distinct from ${known ?? null}::uuid`,
    );
    const version = rows[0]?.version;
    return version === undefined ? undefined : { version, rows: rows.filter(({ id }) => id !== null) };
  }

  /** One statement for all keys. The rows are locked in the order of their ids, as other nodes lock them too. */
  async noteUses(uses: ReadonlyMap<string, number>): Promise<void> {
    await this.#sql`
      with used as materialized (
        select k.id, u.at
        from unnest(${[...uses.keys()]}::text[], ${[...uses.values()]}::int8[]) as u (id, at)
        join api_keys k on k.id = u.id
        order by k.id for no key update of k
      )
      update api_keys k set used_at = greatest(k.used_at, to_timestamp(used.at / 1000.0)) from used where k.id = used.id`;
  }

  #viewOf(row: KeyRow): KeyView {
    return {
      id: row.id,
      name: row.name,
      scopes: row.scopes,
      rooms: row.rooms,
      networks: row.networks,
      perHour: row.per_hour ?? this.#settings.requestsPerHour,
      expiresAt: row.expires_at,
      createdAt: row.created_at,
      rotatedAt: row.rotated_at,
      previousUntil: row.previous_until,
      usedAt: row.used_at,
    };
  }
}

/** Rejects with the error for a client. */
async function explained<T>(work: PromiseLike<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw clientError(error);
  }
}

function unknownKey(id: string): ParleyError {
  return new ParleyError('not_found', `There is no API key ${id}.`);
}
