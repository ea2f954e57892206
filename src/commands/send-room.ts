/**
 * The room of a `message:send` whose JSON nothing has parsed. While the writer is full, a send to a full stripe is refused
 * before it is decoded.
 */
const sendHead = Buffer.from('["message:send",{"room":"');
const quote = 0x22;
const maxRoom = 64;

/** @param at where the JSON begins in the frame. @returns whether it is a send that names its room first, as clients do */
export function isSend(frame: Uint8Array, at: number): boolean {
  for (let i = 0; i < sendHead.length; i++) if (frame[at + i] !== sendHead[i]) return false;
  return true;
}

/**
 * @param at as of `isSend`.
 * @returns the room if the JSON names it first, as clients do; undefined: the frame is decoded first.
 */
export function roomOfSend(frame: Uint8Array, at: number): string | undefined {
  if (!isSend(frame, at)) return undefined;
  const from = at + sendHead.length;
  let room = '';
  for (let end = from; end <= from + maxRoom; end++) {
    const byte = frame[end];
    if (byte === quote) return room;
    if (byte === undefined) return undefined;
    room += String.fromCharCode(byte);
  }
  return undefined;
}
