/** Backend services that reach clients by the Redis protocol of Socket.IO. */
import { bytes, flag, number, text } from '../values.ts';
import { key } from './key.ts';

export const interopKeys = {
  socketioInterop: key(
    'PARLEY_SOCKETIO_DOOR',
    'With REDIS_URL: whether `@socket.io/redis-emitter` and Socket.IO servers on the same Redis reach the clients. Every service that may publish there reaches all clients.',
    flag(),
    'on',
  ),
  socketioKey: key(
    'PARLEY_SOCKETIO_KEY',
    'Prefix of the Redis channels of such services: the `key` option of their emitters and adapters.',
    text(1, 64),
    'socket.io',
  ),
  socketioMaxMessageBytes: key(
    'PARLEY_SOCKETIO_MAX_MESSAGE_BYTES',
    'Largest message that a node takes from a service.',
    bytes(1024, 16 * 1024 * 1024),
    '256k',
  ),
  socketioRoomsPerConnection: key(
    'PARLEY_SOCKETIO_ROOMS_PER_CONNECTION',
    'Ad-hoc rooms that services may put one connection into.',
    number(0, 100_000),
    '100',
  ),
  socketioMaxListed: key(
    'PARLEY_SOCKETIO_MAX_LISTED',
    'Connections or rooms in one answer of a node to a service (`fetchSockets`, `allRooms`). 10,000 connections are about 3 MB of JSON.',
    number(1, 1_000_000),
    '10000',
  ),
} as const;
