/** An API key that a caller has proved. */
import { AddressRanges } from '../../http/address-ranges.ts';
import { scopes, type Scope } from '../../protocol/scopes.ts';
import { RoomPatterns } from '../../rooms/room-patterns.ts';

export interface ApiKeyFields {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly rooms: readonly string[];
  readonly networks: readonly string[];
  readonly perHour: number;
  readonly expiresAt: number | undefined;
}

export class ApiKey {
  readonly id: string;
  readonly name: string;
  /** Every scope, if the key has the scope `admin`. */
  readonly scopes: ReadonlySet<Scope>;
  readonly networks: readonly string[];
  /** Requests per hour. */
  readonly perHour: number;
  /** Milliseconds since 1970, by the clock of Postgres. */
  readonly expiresAt: number | undefined;
  readonly #rooms: RoomPatterns;
  readonly #addresses: AddressRanges | undefined;

  constructor(fields: ApiKeyFields) {
    this.id = fields.id;
    this.name = fields.name;
    this.scopes = new Set(fields.scopes.includes('admin') ? scopes : fields.scopes);
    this.networks = fields.networks;
    this.perHour = fields.perHour;
    this.expiresAt = fields.expiresAt;
    this.#rooms = new RoomPatterns(fields.rooms);
    this.#addresses = fields.networks.length === 0 ? undefined : new AddressRanges(fields.networks);
  }

  /** Whether the key may use every room. */
  get everyRoom(): boolean {
    return this.#rooms.any;
  }

  mayUseRoom(room: string): boolean {
    return this.#rooms.match(room);
  }

  /** A caller whose address is unknown is in no network. */
  mayBeUsedFrom(address: string): boolean {
    return this.#addresses?.has(address) ?? true;
  }
}
