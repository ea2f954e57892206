import type { Incomplete, Packet } from '../../../src/transport/socketio/packet.ts';
import { decodeText, peekHeader } from '../../../src/transport/socketio/text.ts';

/** Reads a packet as the gateway does. @param text the frame without Engine.IO's `4`. */
export function readText(text: string): Packet | Incomplete | undefined {
  const header = peekHeader(Buffer.from(`4${text}`));
  return header === undefined ? undefined : decodeText(header);
}
