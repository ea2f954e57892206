/** The REST API. */
import { number, tiers } from '../values.ts';
import { key } from './key.ts';

export const restKeys = {
  requestTiers: key(
    'PARLEY_API_TIERS',
    'Requests of REST in one hour, over all nodes, by the tier of the token. `anonymous` limits an IP address (IPv6: one /64) without a token. `standard` limits tokens without a tier, or with an unlisted one. A heavy request counts more than once.',
    tiers(),
    'anonymous=100,standard=1000,premium=5000',
  ),
  sensitiveRequestsPerMinute: key(
    'PARLEY_API_SENSITIVE_PER_MINUTE',
    'Requests of one caller in one minute to sensitive routes: sign-in, sessions, API keys and imports.',
    number(1, 1_000_000),
    '100',
  ),
  maxStreams: key(
    'PARLEY_MAX_STREAMS',
    'Streams of rooms over REST that are open at a time in one process.',
    number(1, 100_000),
    '1000',
  ),
  maxStreamsPerCaller: key(
    'PARLEY_MAX_STREAMS_PER_CALLER',
    'Streams of rooms over REST that one user or one API key has open at a time in one process.',
    number(1, 100_000),
    '20',
  ),
  maxStreamBufferBytes: key(
    'PARLEY_MAX_STREAM_BUFFER_BYTES',
    'Bytes of events that wait for the reader of one stream. A slower reader gets the later changes by reads of the database.',
    number(1024, 16 * 1024 * 1024),
    '262144',
  ),
  streamHeartbeatMs: key(
    'PARLEY_STREAM_HEARTBEAT_MS',
    'The longest silence of a stream. After it a heartbeat line is sent.',
    number(100, 60_000),
    '15000',
  ),
} as const;
