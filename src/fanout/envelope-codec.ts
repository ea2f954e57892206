/**
 * Envelopes as bytes, for Redis: one byte of version, 24 bytes of origin, then msgpack with one array for each envelope. The
 * origin is the publishing node, its installation and the epoch of its database, with 8 bytes each.
 *
 * Bodies stay JSON texts. The receiving node parses each text once: a text that is not JSON would make all clients of a room
 * close their connections.
 *
 * A change that older nodes would misread takes another version. Older nodes count such messages and backfill the stored
 * events from Postgres, so nodes of two versions can run side by side during an upgrade.
 */
import { Packr } from 'msgpackr';
import type { Role } from '../protocol/model.ts';
import { isEventText } from './event-text.ts';
import type { ConnectionEvent, Envelope, MembershipChange, RoomClosed, RoomEvent, UserEvent } from './fanout.ts';

export const codecVersion = 2;
export const nodeIdBytes = 8;
const originBytes = 3 * nodeIdBytes;
const headerBytes = 1 + originBytes;

/** A larger batch is split: Redis copies a message into the buffer of every subscriber. */
export const maxMessageBytes = 1024 * 1024;

const packr = new Packr({ useRecords: false, int64AsType: 'number' });

/** An older node drops a message with a kind that it does not know. Connection events share a message with nothing else. */
const kinds = { room: 0, user: 1, membership: 2, closed: 3, connection: 4 } as const;
const roles: readonly unknown[] = ['owner', 'admin', 'member', 'guest', null] satisfies (Role | null)[];

/** @param installation and @param epoch UUIDs */
export function originOf(node: Uint8Array, installation: string, epoch: string): Buffer {
  const parts = [installation, epoch].map((uuid) =>
    Buffer.from(uuid.replaceAll('-', ''), 'hex').subarray(0, nodeIdBytes),
  );
  return Buffer.concat([node, ...parts], originBytes);
}

/** @returns messages of at most `maxBytes`; a larger envelope is alone in its message */
export function encodeEnvelopes(
  origin: Uint8Array,
  envelopes: readonly Envelope[],
  maxBytes = maxMessageBytes,
): Buffer[] {
  // `pack` returns a view of a buffer that the next `pack` overwrites, so the bytes are copied behind the header
  const packed = packr.pack(envelopes.map(toRow));
  if (headerBytes + packed.length > maxBytes && envelopes.length > 1) {
    const middle = envelopes.length >> 1;
    return [envelopes.slice(0, middle), envelopes.slice(middle)].flatMap((half) =>
      encodeEnvelopes(origin, half, maxBytes),
    );
  }
  const message = Buffer.allocUnsafe(headerBytes + packed.length);
  message[0] = codecVersion;
  message.set(origin, 1);
  message.set(packed, headerBytes);
  return [message];
}

/**
 * The sender of a message in relation to this origin: the node itself, another installation, another epoch, or a peer. An
 * unreadable message counts as a peer's, because `decodeEnvelopes` returns the reason.
 */
export function senderOf(message: Uint8Array, origin: Uint8Array): 'self' | 'foreign' | 'epoch' | 'peer' {
  if (message[0] !== codecVersion || message.length <= headerBytes) return 'peer';
  if (!isAlike(message, origin, 1)) return 'foreign';
  if (isAlike(message, origin, 0)) return 'self';
  return isAlike(message, origin, 2) ? 'peer' : 'epoch';
}

/** @param part of the origin: node, installation, epoch */
function isAlike(message: Uint8Array, origin: Uint8Array, part: 0 | 1 | 2): boolean {
  const from = part * nodeIdBytes;
  for (let i = from; i < from + nodeIdBytes; i++) if (message[i + 1] !== origin[i]) return false;
  return true;
}

/** @returns the envelopes, or the reason why the message is unreadable */
export function decodeEnvelopes(message: Buffer): Envelope[] | 'version' | 'malformed' {
  if (message.length <= headerBytes) return 'malformed';
  if (message[0] !== codecVersion) return 'version';
  let rows: unknown;
  try {
    rows = packr.unpack(message.subarray(headerBytes));
  } catch {
    return 'malformed';
  }
  if (!Array.isArray(rows)) return 'malformed';
  const envelopes: Envelope[] = [];
  for (const row of rows as unknown[]) {
    const envelope = Array.isArray(row) ? fromRow(row) : undefined;
    if (envelope === undefined) return 'malformed';
    envelopes.push(envelope);
  }
  return envelopes;
}

function toRow(envelope: Envelope): unknown[] {
  if (envelope.to === 'membership') {
    const { user, room, role, mutedUntil, version } = envelope;
    const few = [kinds.membership, user, room, role];
    // an older node reads 0 as a mute that has ended
    if (version !== undefined) return [...few, mutedUntil ?? 0, version];
    return mutedUntil === undefined ? few : [...few, mutedUntil];
  }
  if (envelope.to === 'closed') return [kinds.closed, envelope.room, envelope.event, envelope.json];
  if (envelope.to === 'connection') return [kinds.connection, envelope.connection, envelope.event, envelope.json];
  if (envelope.to === 'user') {
    const { user, event, json, head, about } = envelope;
    const few = [kinds.user, user, event, json];
    // an older node reads an empty room as one without connections
    if (about !== undefined) return [...few, head?.room ?? '', head?.rev ?? 0, about];
    return head === undefined ? few : [...few, head.room, head.rev];
  }
  const { room, event, json, rev, attachments, except, withheld } = envelope;
  const few = [kinds.room, room, event, json, rev ?? 0];
  // an older node does not read the withheld users, and delivers the event to them too
  if (withheld !== undefined) return [...few, except ?? '', attachments ?? [], withheld];
  return attachments === undefined && except === undefined ? few : [...few, except ?? '', attachments ?? []];
}

function fromRow(row: readonly unknown[]): Envelope | undefined {
  switch (row[0]) {
    case kinds.room:
      return roomEvent(row);
    case kinds.user:
      return userEvent(row);
    case kinds.membership:
      return membershipChange(row);
    case kinds.closed:
      return roomClosed(row);
    case kinds.connection:
      return connectionEvent(row);
    default:
      return undefined;
  }
}

function roomEvent(row: readonly unknown[]): RoomEvent | undefined {
  const [, room, event, json, rev, except, attachments, withheld] = row;
  if (!isText(room) || !isText(event) || !isText(json) || !isRev(rev)) return undefined;
  const envelope = { to: 'room' as const, room, event, json, ...(rev === 0 ? {} : { rev }) };
  if (except === undefined) return isEventText(event, json) ? envelope : undefined;
  if (!isText(except) || !Array.isArray(attachments)) return undefined;
  if (!attachments.every((part) => part instanceof Uint8Array)) return undefined;
  if (!isEventText(event, json, attachments.length)) return undefined;
  if (!(withheld === undefined || (Array.isArray(withheld) && withheld.every(isText)))) return undefined;
  return {
    ...envelope,
    ...(except === '' ? {} : { except }),
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(withheld === undefined ? {} : { withheld }),
  };
}

function userEvent([, user, event, json, room, rev, about]: readonly unknown[]): UserEvent | undefined {
  if (!isText(user) || !isText(event) || !isText(json) || !isEventText(event, json)) return undefined;
  if (room === undefined) return { to: 'user', user, event, json };
  if (!isText(room) || !isRev(rev) || !(about === undefined || isText(about))) return undefined;
  const head = room === '' ? {} : { head: { room, rev } };
  return { to: 'user', user, event, json, ...head, ...(about === undefined ? {} : { about }) };
}

function membershipChange([, user, room, role, mutedUntil, version]: readonly unknown[]): MembershipChange | undefined {
  if (!isText(user) || !isText(room) || !roles.includes(role)) return undefined;
  const change = { to: 'membership' as const, user, room, role: role as Role | null };
  if (mutedUntil === undefined) return change;
  if (!isRev(mutedUntil) || !(version === undefined || isRev(version))) return undefined;
  const mute = mutedUntil === 0 ? {} : { mutedUntil };
  return { ...change, ...mute, ...(version === undefined ? {} : { version }) };
}

function roomClosed([, room, event, json]: readonly unknown[]): RoomClosed | undefined {
  return isText(room) && isText(event) && isText(json) && isEventText(event, json)
    ? { to: 'closed', room, event, json }
    : undefined;
}

function connectionEvent([, connection, event, json]: readonly unknown[]): ConnectionEvent | undefined {
  return isText(connection) && isText(event) && isText(json) && isEventText(event, json)
    ? { to: 'connection', connection, event, json }
    : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isRev(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
