/** Packets of `socket.io-msgpack-parser`: each is one binary frame with `{type, nsp, data, id}`. */
import { addExtension, Packr } from 'msgpackr';
import { isPlainMsgpack } from './msgpack-check.ts';
import { isEventArgs, maxAckDigits, type Packet } from './packet.ts';

/**
 * Clients use notepack, so there are no records, and integers of 64 bits are numbers: else Date.now() would be a BigInt. A
 * client's JSON may have a key `toJSON`, which must not be called.
 */
const packr = new Packr({ useRecords: false, int64AsType: 'number', mapsAsObjects: true, useToJSON: false });

/**
 * notepack writes `undefined`, typed arrays and dates as extension 0, and distinguishes them by a length form that an
 * extension cannot read. Signals carry bytes, so the extension gives bytes. Clients should send dates as numbers or text.
 */
addExtension({
  type: 0,
  unpack: (bytes: Uint8Array) => (bytes.length === 1 && bytes[0] === 0 ? undefined : Buffer.from(bytes)),
});

const types = { connect: 0, disconnect: 1, event: 2, ack: 3, connectError: 4 } as const;

/** @returns undefined for an invalid packet. */
export function decodeMsgpack(frame: Buffer): Packet | undefined {
  if (!isPlainMsgpack(frame)) return undefined;
  let value: unknown;
  try {
    value = packr.unpack(frame);
  } catch {
    return undefined; // no known frame passes the check and fails here
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, nsp: namespace, data, id } = value as Record<string, unknown>;
  if (typeof namespace !== 'string' || !namespace.startsWith('/')) return undefined;
  const ack = ackOf(id);
  if (ack === undefined) return undefined;
  switch (type) {
    case types.connect:
      if (data === undefined || data === null) return { type: 'connect', namespace, payload: undefined };
      return typeof data === 'object' && !Array.isArray(data)
        ? { type: 'connect', namespace, payload: data }
        : undefined;
    case types.disconnect:
      return { type: 'disconnect', namespace };
    case types.event:
      return isEventArgs(data) ? { type: 'event', namespace, ack, args: data } : undefined;
    case types.ack:
      return Array.isArray(data) && ack !== '' ? { type: 'ack', namespace, ack, args: data } : undefined;
    default:
      return undefined;
  }
}

/** The digits of an id; '' without one; undefined for an id that an ack could not repeat unaltered. */
function ackOf(id: unknown): string | undefined {
  if (id === undefined || id === null) return '';
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 && String(id).length <= maxAckDigits
    ? String(id)
    : undefined;
}

// packr.pack returns a view of a buffer that the next pack may overwrite, so a queued frame needs a copy
const pack = (value: object): Uint8Array => Uint8Array.prototype.slice.call(packr.pack(value));

export function packArgs(type: 'event' | 'ack', namespace: string, id: string, args: readonly unknown[]): Uint8Array {
  return pack({ type: types[type], data: args, nsp: namespace, ...(id === '' ? {} : { id: Number(id) }) });
}

export function packConnect(namespace: string, sid: string): Uint8Array {
  return pack({ type: types.connect, data: { sid }, nsp: namespace });
}

export function packConnectError(namespace: string, message: string, data?: object): Uint8Array {
  return pack({ type: types.connectError, data: data === undefined ? { message } : { message, data }, nsp: namespace });
}

export function packDisconnect(namespace: string): Uint8Array {
  return pack({ type: types.disconnect, nsp: namespace });
}
