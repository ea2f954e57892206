/** Sends an event to the connected members of a room through Redis. The event is not stored. */
import { Emitter } from '@socket.io/redis-emitter';
import { Redis } from 'ioredis';

const redis = new Redis(process.env.REDIS_URL ?? 'redis://localhost:6379');
const backend = new Emitter(redis, { key: process.env.PARLEY_SOCKETIO_KEY ?? 'socket.io' });

backend.to(process.env.PARLEY_ROOM ?? 'orders').emit('order:paid', { id: 17 });

// QUIT is answered after the event.
await redis.quit();
console.log('sent');
