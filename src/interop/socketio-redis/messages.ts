/** Reads and checks the messages that back ends publish. Their content is not trusted. */
import { z } from 'zod';
import { isPlainMsgpack, withTimestamps } from '../../transport/socketio/msgpack-check.ts';
import { reservedEvents } from './room-names.ts';
import { Refused } from './refusals.ts';
import { sanitize } from './sanitize.ts';

export type Decode = (bytes: Buffer) => unknown;

export interface EventPacket {
  readonly type: 2;
  readonly data: readonly [string, ...unknown[]];
  nsp: string;
  /** Set by the adapter for events that want acks. */
  id?: number;
}

/** As the adapter's `onmessage` takes it apart. */
export type Emit = readonly [uid: unknown, packet: EventPacket, opts: EmitOptions];

interface EmitOptions {
  rooms: string[];
  except: string[];
  flags: { volatile?: boolean };
}

/** Socket.IO's numbers of requests. The missing numbers are answers. */
export const requestTypes = {
  sockets: 0,
  all_rooms: 1,
  join: 2,
  leave: 3,
  disconnect: 4,
  fetch: 5,
  server_side_emit: 6,
  emit_with_ack: 7,
} as const;

export type RequestName = keyof typeof requestTypes;

const requestNames = new Map(Object.entries(requestTypes).map(([name, type]) => [type as number, name as RequestName]));

/** Rooms in one message. */
const maxNames = 1000;

// Socket.IO allows numbers as names of rooms
const name = z.union([z.string(), z.number()]).transform(String);
const names = z.array(name).max(maxNames);
const flags = z.looseObject({ timeout: z.number().optional() });
const options = z.object({
  rooms: names,
  except: names.nullish().transform((list) => list ?? []),
  flags: flags.nullish(),
});

const envelope = z.object({
  type: z.int(),
  uid: z.string().optional(),
  requestId: z.string().max(128).optional(),
});
const shapes = {
  sockets: envelope.extend({ rooms: names.default([]) }),
  all_rooms: envelope,
  join: z.union([envelope.extend({ opts: options, rooms: names }), envelope.extend({ sid: z.string(), room: name })]),
  leave: z.union([envelope.extend({ opts: options, rooms: names }), envelope.extend({ sid: z.string(), room: name })]),
  disconnect: z.union([
    envelope.extend({ opts: options, close: z.boolean().nullish() }),
    envelope.extend({ sid: z.string(), close: z.boolean().nullish() }),
  ]),
  fetch: envelope.extend({ opts: options }),
  server_side_emit: envelope,
  emit_with_ack: envelope.extend({ requestId: z.string().max(128), opts: options, packet: z.unknown() }),
} satisfies Record<RequestName, z.ZodType>;

export interface InteropRequestMessage {
  readonly name: RequestName;
  /** As the adapter's `onrequest` takes it apart. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Rooms that connections join or leave by this request. */
  readonly rooms: readonly string[];
  readonly timeoutMs: number | undefined;
}

/** @throws {Refused} */
export function readEmit(bytes: Buffer, decode: Decode): Emit {
  const value = unpack(bytes, decode);
  if (!Array.isArray(value)) throw new Refused('malformed', 'an event that is not [uid, packet, options]');
  const [uid, packet, opts] = value as unknown[];
  const { rooms, except } = isObject(opts) ? opts : {};
  const given = isObject(opts) && isObject(opts['flags']) ? opts['flags'] : {};
  return [
    uid,
    readPacket(packet),
    { rooms: readNames(rooms), except: readNames(except), flags: given['volatile'] === true ? { volatile: true } : {} },
  ];
}

/** @throws {Refused} */
export function readRequest(bytes: Buffer, decode: Decode): InteropRequestMessage {
  const value = bytes[0] === 0x7b ? (JSON.parse(bytes.toString('utf8')) as unknown) : unpack(bytes, decode);
  const kind = requestNames.get(isObject(value) ? (value['type'] as number) : NaN);
  if (kind === undefined) throw new Refused('malformed', 'a request of an unknown type');
  const parsed = shapes[kind].safeParse(value);
  if (!parsed.success) throw new Refused('malformed', `a request ${kind} with missing or wrong fields`);
  const request: Record<string, unknown> & z.infer<typeof envelope> = parsed.data;
  const { rooms, room, opts } = request as { rooms?: string[]; room?: string; opts?: z.infer<typeof options> };
  if (kind === 'emit_with_ack') request['packet'] = readPacket(request['packet']);
  return { name: kind, request, rooms: rooms ?? (room === undefined ? [] : [room]), timeoutMs: opts?.flags?.timeout };
}

function unpack(bytes: Buffer, decode: Decode): unknown {
  // notepack would allocate an array of four billion places for a few bytes
  if (!isPlainMsgpack(bytes, withTimestamps))
    throw new Refused('malformed', 'msgpack with values that neither JSON nor binary has');
  return decode(bytes);
}

function readPacket(packet: unknown): EventPacket {
  if (!isObject(packet)) throw new Refused('malformed', 'an event without a packet');
  const { type, nsp, data } = packet;
  if (!eventTypes.has(type) || (nsp !== undefined && nsp !== '/')) {
    throw new Refused('malformed', 'a packet that is no event of the namespace /');
  }
  if (!Array.isArray(data) || typeof data[0] !== 'string') throw new Refused('malformed', 'an event without a name');
  if (reservedEvents.has(data[0])) throw new Refused('reserved_name', `an event with the reserved name "${data[0]}"`);
  return { type: 2, nsp: '/', data: sanitize(data) as [string, ...unknown[]] };
}

/** EVENT, and BINARY_EVENT of older emitters. */
const eventTypes: ReadonlySet<unknown> = new Set([2, 5]);

function readNames(list: unknown): string[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list) || list.length > maxNames)
    throw new Refused('malformed', `rooms that are no list of at most ${maxNames} names`);
  return list.map((entry: unknown) => {
    if (typeof entry !== 'string' && typeof entry !== 'number') throw new Refused('malformed', 'a room without a name');
    return String(entry);
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
