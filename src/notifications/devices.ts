/** The devices of users: their subscriptions, which notifications reach without a connection. */
import { createECDH, randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import type { Device, DeviceKind, WebPushSubscription } from '../protocol/devices.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { postgres } from '../storage/sql.ts';
import { OutgoingRefused, type Outgoing } from './outgoing.ts';

export interface DeviceSettings {
  readonly maxDevicesPerUser: number;
}

export interface DeviceParts {
  readonly settings: DeviceSettings;
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  /** Runs a read in the turn of its user. */
  readonly reading: <T>(user: string, read: () => Promise<T>) => Promise<T>;
  readonly outgoing: Pick<Outgoing, 'check'>;
  /** The public key with which browsers subscribe. Undefined: this server sends no web pushes. */
  readonly key: string | undefined;
}

interface DeviceRow {
  readonly id: string;
  readonly channel: DeviceKind;
  readonly name: string | null;
  readonly created_at: number;
  readonly seen_at: number;
}

/** A device of any kind. `address` identifies the device at its service. */
interface Registration {
  readonly kind: DeviceKind;
  readonly address: string;
  /** JSON. */
  readonly secrets: string | null;
  readonly name: string | null;
}

export class Devices {
  readonly #parts: DeviceParts;

  constructor(parts: DeviceParts) {
    this.#parts = parts;
  }

  /** @throws {ParleyError} `not_found` without a key of this server, `invalid`, `limit_reached` */
  async register(user: string, { web, name }: ParsedInput<'device:register'>): Promise<Device> {
    if (this.#parts.key === undefined)
      throw new ParleyError('not_found', 'The server sends no pushes: PARLEY_VAPID_PRIVATE_KEY is not set.');
    this.#check(web);
    return this.#store(user, {
      kind: 'web',
      address: web.endpoint,
      secrets: JSON.stringify(web.keys),
      name: name ?? null,
    });
  }

  list(user: string): Promise<CommandOutput<'device:list'>> {
    const { reading, reads, key = null } = this.#parts;
    return reading(user, async () => {
      const rows = await reads<DeviceRow[]>`
        select id, channel, name, created_at, seen_at from devices where user_id = ${user} order by created_at, id`;
      return { devices: rows.map(viewOf), key };
    });
  }

  async remove(user: string, id: string): Promise<void> {
    await this.#parts.sql`delete from devices where id = ${id}::uuid and user_id = ${user}`;
  }

  /** @throws {ParleyError} `limit_reached` */
  async #store(user: string, { kind, address, secrets, name }: Registration): Promise<Device> {
    const { sql, settings } = this.#parts;
    const row = await sql.begin(async (tx) => {
      // one registration of a user at a time, so that two of them cannot share the last place
      await tx`select pg_advisory_xact_lock(hashtextextended(${`parley:devices:${user}`}, 0))`;
      // a new id for a new user: notifications that wait for the user before must not reach this one
      await tx`delete from devices where channel = ${kind} and address = ${address} and user_id <> ${user}`;
      const [stored] = await tx<DeviceRow[]>`
        insert into devices as d (id, user_id, channel, address, secrets, name)
        select ${randomUUID()}::uuid, ${user}, ${kind}, ${address}, ${secrets}::text::jsonb, ${name}
        where exists (select from devices where channel = ${kind} and address = ${address})
          or (select count(*) from devices where user_id = ${user}) < ${settings.maxDevicesPerUser}
        on conflict (channel, address) do update set
          secrets = excluded.secrets, name = coalesce(excluded.name, d.name), seen_at = clock_timestamp()
          where d.user_id = excluded.user_id
        returning id, channel, name, created_at, seen_at`;
      return stored;
    });
    if (row === undefined) {
      const text = `You have ${settings.maxDevicesPerUser} devices already; remove one of them first.`;
      throw new ParleyError('limit_reached', text);
    }
    return viewOf(row);
  }

  /** @throws {ParleyError} `invalid` for an endpoint that no push may reach, and for keys that encrypt nothing */
  #check({ endpoint, keys }: WebPushSubscription): void {
    try {
      const { hostname } = this.#parts.outgoing.check(endpoint);
      // push services have names; an address of a user's choice is none of them
      if (isIP(hostname) !== 0 || hostname.startsWith('['))
        throw new OutgoingRefused('The URL names an address instead of a host.');
    } catch (error) {
      if (error instanceof OutgoingRefused) throw new ParleyError('invalid', `web.endpoint: ${error.message}`);
      throw error;
    }
    const curve = createECDH('prime256v1');
    curve.generateKeys();
    try {
      curve.computeSecret(Buffer.from(keys.p256dh, 'base64url'));
    } catch {
      throw new ParleyError('invalid', 'web.keys.p256dh: The key is no point of the curve P-256.');
    }
  }
}

function viewOf({ id, channel, name, created_at: created, seen_at: seen }: DeviceRow): Device {
  return { id, kind: channel, name, created, seen };
}
