/** WebSocket frames byte by byte, for what no client library would send. */

/** A masked frame as a client sends it; the mask is zero, which leaves the payload as it is. */
export function frameOf(firstByte: number, payload: Buffer): Buffer {
  const size = payload.length;
  const head =
    size < 126
      ? Buffer.from([firstByte, 0x80 | size])
      : size < 65_536
        ? Buffer.from([firstByte, 0xfe, size >> 8, size & 255])
        : Buffer.concat([
            Buffer.from([firstByte, 0xff, 0, 0, 0, 0]),
            Buffer.from([size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255]),
          ]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

export function textFrame(text: string): Buffer {
  return frameOf(0x81, Buffer.from(text));
}

export function upgradeRequest(path: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  );
}
