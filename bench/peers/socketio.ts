/**
 * socket.io on ws, as its documentation shows it, in its fastest honest setting: WebSocket only, no compression
 * (both are socket.io's own defaults or advice), a token check that only looks, and no store behind it.
 */
import { createServer } from 'node:http';
import { Server } from 'socket.io';

interface Signal {
  room: string;
  name: string;
  data: unknown;
}
type Ack = (answer: { ok: true }) => void;
interface FromClient {
  join: (rooms: string[], ack: Ack) => void;
  echo: (signal: Signal, ack: Ack) => void;
  signal: (signal: Signal, ack: Ack) => void;
}
interface ToClient {
  signal: (signal: Signal & { from: string }) => void;
}
interface SocketData {
  user: string;
}

const http = createServer();
const io = new Server<FromClient, ToClient, Record<string, never>, SocketData>(http, {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: false,
});

io.use((socket, next) => {
  const token: unknown = socket.handshake.auth['token'];
  if (typeof token !== 'string' || token === '') return next(new Error('unauthorized'));
  socket.data.user = 'user-0';
  next();
});

io.on('connection', (socket) => {
  socket.on('join', (rooms, ack) => {
    void socket.join(rooms);
    ack({ ok: true });
  });
  socket.on('echo', (_signal, ack) => ack({ ok: true }));
  socket.on('signal', ({ room, name, data }, ack) => {
    socket.to(room).emit('signal', { room, from: socket.data.user, name, data });
    ack({ ok: true });
  });
});

http.listen(Number(process.argv[2]), '127.0.0.1', 4096, () => console.log('listening'));
process.stdin.on('end', () => process.exit(0)).resume();
