/**
 * Bare uWebSockets.js: the ceiling. No protocol, no parsing, no objects; the first letter of a frame is the command.
 *   j room room …  join topics      F  publish the one prepared frame to topic "fan" and ack      E  ack
 *   P room …       publish it to that topic and ack
 */
import uws from 'uWebSockets.js';
import { ackFrame, deliveredFrame } from '../frames.ts';

const port = Number(process.argv[2]);
const event = Buffer.from(deliveredFrame('fan', 'user-0'));
const ack = Buffer.from(ackFrame.replace('12345', ''));
const JOIN = 'j'.charCodeAt(0);
const FAN_OUT = 'F'.charCodeAt(0);
const PUBLISH = 'P'.charCodeAt(0);

const app = uws.App();
app.ws('/*', {
  compression: uws.DISABLED,
  maxPayloadLength: 64 * 1024,
  // With the default of 64 KB a publish would drop frames silently, and seem fast.
  maxBackpressure: 16 * 1024 * 1024,
  idleTimeout: 120,
  message(ws, data) {
    const kind = new Uint8Array(data)[0];
    if (kind === JOIN) {
      for (const room of Buffer.from(data).toString().split(' ').slice(1)) ws.subscribe(room);
    } else if (kind === FAN_OUT) {
      app.publish('fan', event);
    } else if (kind === PUBLISH) {
      const text = Buffer.from(data);
      app.publish(text.toString('latin1', 2, text.indexOf(32, 2)), event);
    }
    ws.send(ack);
  },
});
app.listen('127.0.0.1', port, (socket) => {
  if (socket === false) process.exit(1);
  console.log('listening');
});
process.stdin.on('end', () => process.exit(0)).resume();
