/** The REST API. */
import { bytes, number, tiers } from '../values.ts';
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
  maxJobs: key(
    'PARLEY_MAX_JOBS',
    'Jobs of REST that have not ended, of all callers: imports, exports, deletions of users and purges of rooms.',
    number(1, 100_000),
    '100',
  ),
  maxJobsPerCaller: key(
    'PARLEY_MAX_JOBS_PER_CALLER',
    'Jobs of REST that have not ended, of one API key or one user.',
    number(1, 100_000),
    '20',
  ),
  jobsAtOnce: key(
    'PARLEY_JOBS_AT_ONCE',
    'Jobs of REST that run at a time in one process. The others wait.',
    number(1, 100),
    '2',
  ),
  jobsAtOncePerCaller: key(
    'PARLEY_JOBS_AT_ONCE_PER_CALLER',
    'Jobs of REST of one caller that run at a time in all processes. The others wait.',
    number(1, 100),
    '1',
  ),
  maxImportBytes: key(
    'PARLEY_MAX_IMPORT_BYTES',
    'The largest body of an import over REST. The body waits in Postgres until the import ends.',
    bytes(1024, 64 * 1024 * 1024 * 1024),
    '1g',
  ),
  maxExports: key(
    'PARLEY_MAX_EXPORTS',
    'Exports of rooms, and files of jobs, that leave over REST at a time in one process.',
    number(1, 1000),
    '4',
  ),
  maxExportBytes: key(
    'PARLEY_MAX_EXPORT_BYTES',
    'The largest export over REST. An export of a room waits in a temporary file, and the file of a job in Postgres.',
    bytes(1024, 1024 * 1024 * 1024 * 1024),
    '4g',
  ),
} as const;
