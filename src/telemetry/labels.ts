/** The closed unions of labels. An id of a room or a user is never a label, so that the number of series stays bounded. */

export type RefusedHandshake =
  'bad_request' | 'origin' | 'connections' | 'address' | 'connect_rate' | 'draining' | 'overload';
export type ClosedConnection =
  | 'backend'
  | 'client'
  | 'connect_timeout'
  | 'draining'
  | 'heartbeat'
  | 'protocol_error'
  | 'rate_limited'
  | 'revoked'
  | 'slow_consumer'
  | 'token_expired'
  | 'too_large'
  | 'unavailable';
/** An ack that no event of the server requested, an ack after its time limit, or CONNECT to an unknown namespace. */
export type UnexpectedPacket = 'ack' | 'late_ack' | 'connect';
/** Requests of backend services, by the names of Socket.IO's requests. */
export type InteropRequest =
  'emit' | 'emit_with_ack' | 'sockets' | 'all_rooms' | 'join' | 'leave' | 'disconnect' | 'fetch' | 'server_side_emit';
export type InteropRefusal =
  | 'attachments'
  | 'limit'
  | 'malformed'
  | 'reserved_name'
  | 'room_membership'
  | 'rooms_per_connection'
  | 'server_side_emit'
  | 'too_large';
export type ApiKeyRefusal = 'expired' | 'malformed' | 'network' | 'rate_limited' | 'unknown';
export type InternalError = 'command' | 'delivery' | 'fanout' | 'http' | 'socket' | 'sweep' | 'writer';
/** The sign of missing events: a jump in rev, a room's head in Postgres, an outage of Redis, or a dead node's outbox. */
export type Repair = 'gap' | 'heads' | 'away' | 'relay';

/** Settings of Postgres that break the promises. */
export const databaseHazards = ['fsync', 'full_page_writes', 'read_only', 'synchronous_commit'] as const;
export type DatabaseHazard = (typeof databaseHazards)[number];

/** The memory of the node, or Redis. */
export type CacheTier = 'local' | 'shared';
export type CacheReach = 'everywhere' | 'here';
/** Redis was lost, Redis came back, a message of another node did not arrive, or somebody cleared the cache. */
export type CacheDrain = 'lost' | 'joined' | 'gap' | 'cleared';
export type CacheStep = 'read' | 'store' | 'lease' | 'invalidate' | 'join' | 'beat' | 'answer';
