/** Engine.IO v4 packets. On a WebSocket a packet is a frame; a long-polling body holds several, joined by 0x1e. */

/** A whole packet: text begins with its type, bytes are a binary message. */
export type Frame = string | Uint8Array;

/** Packet types, as the first character of a text frame. */
export const packet = { open: '0', close: '1', ping: '2', pong: '3', message: '4', upgrade: '5', noop: '6' } as const;

const separator = '\x1e';

export function encodePayload(frames: readonly Frame[]): string {
  return frames.map((frame) => (typeof frame === 'string' ? frame : `b${base64(frame)}`)).join(separator);
}

/** A packet as it comes by either transport: a text frame, which begins with its type, or a binary message. */
export interface Received {
  readonly bytes: Buffer;
  readonly isBinary: boolean;
}

/** @returns undefined if any part of the body is no packet. Text frames are views of the body. */
export function decodePayload(body: Buffer): Received[] | undefined {
  const packets: Received[] = [];
  for (let from = 0; from <= body.length;) {
    const found = body.indexOf(separator, from);
    const end = found === -1 ? body.length : found;
    const part = body.subarray(from, end);
    const type = part[0] ?? 0;
    if (type === 0x62) {
      // the Java client breaks base64 into lines
      const text = part.toString('latin1', 1).replaceAll(/[\r\n]/g, '');
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
      packets.push({ bytes: Buffer.from(text, 'base64'), isBinary: true });
    } else if (type >= 0x30 && type <= 0x36) {
      packets.push({ bytes: part, isBinary: false });
    } else {
      return undefined;
    }
    from = end + 1;
  }
  return packets;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

export function frameBytes(frame: Frame): number {
  return typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength;
}

/** Whether permessage-deflate may compress the frame: under a kilobyte compression costs more than it saves. */
export function worthCompressing(frame: Frame): boolean {
  return frame.length > 1024;
}
