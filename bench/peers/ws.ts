/**
 * Bare ws: a set of sockets for each room, and its documentation's loop for a broadcast. The frames are those of uws.ts:
 *   j room room …  join      F  the one prepared event to room "fan", and ack      P room …  to that room      E  ack
 */
import { createServer } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import { ackFrame, deliveredFrame } from '../frames.ts';

const event = Buffer.from(deliveredFrame('fan', 'user-0'));
const ack = Buffer.from(ackFrame.replace('12345', ''));
const asText = { binary: false };
const rooms = new Map<string, Set<WebSocket>>();

function join(socket: WebSocket, room: string): void {
  const members = rooms.get(room) ?? new Set();
  rooms.set(room, members.add(socket));
}

function publish(room: string): void {
  for (const member of rooms.get(room) ?? []) member.send(event, asText);
}

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false, maxPayload: 64 * 1024 });
server.on('connection', (socket) => {
  const joined: string[] = [];
  socket.on('close', () => {
    for (const room of joined) rooms.get(room)?.delete(socket);
  });
  socket.on('message', (data: Buffer) => {
    const kind = String.fromCharCode(data[0] ?? 0);
    if (kind === 'j') {
      joined.push(...data.toString().split(' ').slice(1));
      for (const room of joined) join(socket, room);
    }
    if (kind === 'F') publish('fan');
    else if (kind === 'P') publish(data.toString('latin1', 2, data.indexOf(32, 2)));
    socket.send(ack, asText);
  });
});
http.listen(Number(process.argv[2]), '127.0.0.1', 4096, () => console.log('listening'));
process.stdin.on('end', () => process.exit(0)).resume();
