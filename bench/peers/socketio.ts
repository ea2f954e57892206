/**
 * socket.io on ws, or with "uws" on uWebSockets.js, as its documentation shows, in its fastest honest setting. The setting is
 * WebSocket only and no compression, which are defaults or advice of socket.io. The token check only reads the token, and
 * there is no store.
 */
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import uws from 'uWebSockets.js';

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
  signal: (signal: Signal & { from: string; fromName: null; expires: number }) => void;
}
interface SocketData {
  user: string;
}

const port = Number(process.argv[2]);
const io = new Server<FromClient, ToClient, Record<string, never>, SocketData>({
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
    // The senders of the bench are not in their rooms. With nobody to leave out (`socket.to` leaves out the sender)
    // socket.io on uWebSockets.js publishes to a topic, which is its fast way.
    io.to(room).emit('signal', { room, from: socket.data.user, fromName: null, name, expires: 6000, data });
    ack({ ok: true });
  });
});

if (process.argv[3] === 'uws') {
  const app = uws.App();
  // With the default of 64 KB of uWebSockets.js a publish would drop frames silently, and seem fast.
  io.attachApp(app, { maxBackpressure: 16 * 1024 * 1024 } as object);
  app.listen('127.0.0.1', port, (socket) => {
    if (socket === false) process.exit(1);
    console.log('listening');
  });
} else {
  const http = createServer();
  io.attach(http);
  http.listen(port, '127.0.0.1', 4096, () => console.log('listening'));
}
process.stdin.on('end', () => process.exit(0)).resume();
