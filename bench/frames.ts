/** The frames that all rows share, so that every server moves the same bytes. */

/** About the length of a short chat line. */
const text = 'x'.repeat(100);

/** The frames for Parley and socket.io; the ack of both is `43<id>[{"ok":true}]`. */
export const frames = {
  signal: `42{ack}["signal",{"room":"{room}","name":"bench","data":"${text}"}]`,
  echo: `42{ack}["echo",{"room":"{room}","name":"bench","data":"${text}"}]`,
  send: `42{ack}["message:send",{"room":"{room}","id":"{uuid}","body":{"text":"${text}"}}]`,
} as const;

export const body = { text };

/** The event that each receiver gets for a `signal`. Bare uWebSockets.js and the null server publish exactly this frame. */
export function deliveredFrame(room: string, from: string): string {
  return `42["signal",{"room":"${room}","from":"${from}","fromName":null,"name":"bench","expires":6000,"data":"${text}"}]`;
}

export const ackFrame = '4312345[{"ok":true}]';

/**
 * A frame for bare uWebSockets.js, bare ws and the null server. The first letter is the command, and the rest is as long as the
 * frame of the other subjects. A `P` names the room.
 */
export const rawFrame = (kind: 'F' | 'E' | 'P'): string => {
  const whole = frames.signal.replace('{ack}', '12345').replace('{room}', 'room');
  return kind === 'P' ? `P {room} ${whole.slice(6)}` : kind + whole.slice(1);
};
