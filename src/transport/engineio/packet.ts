/** Engine.IO v4 packets. On a WebSocket a packet is a frame; a long-polling body holds several, joined by 0x1e. */

/** A whole packet: text begins with its type, bytes are a binary message. */
export type Frame = string | Uint8Array;

/** Packet types, as the first character of a text frame. */
export const packet = { open: '0', close: '1', ping: '2', pong: '3', message: '4', upgrade: '5', noop: '6' } as const;

const separator = '\x1e';

export function encodePayload(frames: readonly Frame[]): string {
  return frames.map((frame) => (typeof frame === 'string' ? frame : `b${base64(frame)}`)).join(separator);
}

/** @returns undefined if any part of the body is no packet. */
export function decodePayload(body: string): Frame[] | undefined {
  const frames: Frame[] = [];
  for (const part of body.split(separator)) {
    const type = part.charCodeAt(0);
    if (part.startsWith('b')) {
      // the Java client breaks base64 into lines
      const text = part.slice(1).replaceAll(/[\r\n]/g, '');
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
      frames.push(Buffer.from(text, 'base64'));
    } else if (type >= 48 && type <= 54) {
      frames.push(part);
    } else {
      return undefined;
    }
  }
  return frames;
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
