/** Connections: heartbeats, frames, unsent bytes, and how many there may be. */
import { bytes, list, number, oneOf, range } from '../values.ts';
import { key } from './key.ts';

export const connectionKeys = {
  pingIntervalMs: key('PARLEY_PING_INTERVAL_MS', 'Time between heartbeats.', number(1000, 300_000), '25000'),
  pingTimeoutMs: key(
    'PARLEY_PING_TIMEOUT_MS',
    'A connection that is silent for the interval and this timeout is closed.',
    number(1000, 300_000),
    '20000',
  ),
  connectTimeoutMs: key(
    'PARLEY_CONNECT_TIMEOUT_MS',
    'Longest time from the handshake to CONNECT.',
    number(100, 300_000),
    '10000',
  ),
  upgradeTimeoutMs: key(
    'PARLEY_UPGRADE_TIMEOUT_MS',
    'Longest time of the upgrade from long-polling to a WebSocket.',
    number(100, 300_000),
    '10000',
  ),
  maxFrameBytes: key(
    'PARLEY_MAX_FRAME_BYTES',
    'Largest frame that a client may send.',
    bytes(4096, 16 * 1024 * 1024),
    '64k',
  ),
  maxBufferedBytes: key(
    'PARLEY_MAX_BUFFERED_BYTES',
    'Unsent bytes above which a slow connection is closed.',
    bytes(65_536, 1024 ** 3),
    '4m',
  ),
  softBufferedBytes: key(
    'PARLEY_SOFT_BUFFERED_BYTES',
    'Unsent bytes above which a slow connection gets no signals.',
    bytes(4096, 1024 ** 3),
    '256k',
  ),
  behindBufferedBytes: key(
    'PARLEY_BEHIND_BUFFERED_BYTES',
    'Unsent bytes above which a slow connection gets `behind` instead of events.',
    bytes(4096, 1024 ** 3),
    '1m',
  ),
  maxUnsentBytesPerUser: key(
    'PARLEY_MAX_UNSENT_BYTES_PER_USER',
    'Unsent bytes of one user over all connections to this process. A user above the limit gets no large answer, and the connections with the largest buffers are closed.',
    bytes(65_536, 2 ** 40),
    '16m',
  ),
  maxUnsentBytesPerAddress: key(
    'PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS',
    'Unsent bytes of one IP address (IPv6: one /64), with the same consequences.',
    bytes(65_536, 2 ** 40),
    '128m',
  ),
  readsAtOncePerUser: key(
    'PARLEY_READS_AT_ONCE_PER_USER',
    'Concurrent reads of messages (`history`, `sync`, `search` and the like) of one user in this process. Eight times as many may wait.',
    number(1, 10_000),
    '4',
  ),
  compression: key(
    'PARLEY_COMPRESSION',
    'Compression (permessage-deflate) of frames over 1 KiB: `off`, or `shared` for one compressor of all connections. A compressed delivery of 2 KB costs about 30 µs.',
    oneOf('off', 'shared'),
    'off',
  ),
  maxConnections: key(
    'PARLEY_MAX_CONNECTIONS',
    'Connections to this process. A low limit of open files (ulimit -n) lowers the number.',
    number(1, 10_000_000),
    '50000',
  ),
  maxConnectionsPerUser: key(
    'PARLEY_MAX_CONNECTIONS_PER_USER',
    'Connections of one user to this process.',
    number(1, 10_000_000),
    '100',
  ),
  connectsPerSecondPerAddress: key(
    'PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS',
    'Sustained rate of handshakes from one IP address (IPv6: one /64). A burst may have ten times as many.',
    number(1, 1_000_000),
    '100',
  ),
  trustedProxies: key(
    'PARLEY_TRUSTED_PROXIES',
    'Addresses and ranges of proxies, separated by commas. Parley trusts X-Forwarded-For and the PROXY protocol of these proxies.',
    list(range()),
    '',
  ),
  maxConnectionsPerAddress: key(
    'PARLEY_MAX_CONNECTIONS_PER_ADDRESS',
    'Connections from one IP address (IPv6: one /64).',
    number(1, 10_000_000),
    '1000',
  ),
} as const;
