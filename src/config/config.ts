/**
 * The configuration: the only reader of the environment, and of the files that it names for secrets. `loadConfig` parses every key, lists every bad one in a single
 * error, and returns a frozen object; every other part gets its slice by constructor. Names carry their units.
 */
import { contradictions } from './checks.ts';
import { secretOf } from './secrets.ts';
import { StartupError } from '../startup-error.ts';
import { splitHosts } from '../storage/hosts.ts';
import {
  bytes,
  countOrAuto,
  flag,
  host,
  hostPattern,
  origin,
  list,
  mediaType,
  number,
  oneOf,
  range,
  redisUrl,
  text,
  tiers,
  url,
  type Parser,
} from './values.ts';

interface Key<T> {
  readonly env: string;
  readonly about: string;
  readonly parse: Parser<T>;
  /** As text, the way an operator would write it. Absent: unset is `undefined`. */
  readonly default?: string;
  readonly secret?: true;
  /** It may have several lines. */
  readonly lines?: true;
}

const key = <T>(env: string, about: string, parse: Parser<T>, byDefault: string): Key<T> & { default: string } => ({
  env,
  about,
  parse,
  default: byDefault,
});
const optional = <T>(env: string, about: string, parse: Parser<T>): Key<T> => ({ env, about, parse });
const secret = <T>(env: string, about: string, parse: Parser<T>): Key<T> => ({ env, about, parse, secret: true });

function databaseUrl(): Parser<string> {
  const one = url('postgres:', 'postgresql:');
  return (source) => {
    try {
      const parsed = one(splitHosts(source).url);
      return parsed.ok ? { ok: true, value: source } : parsed;
    } catch (error) {
      return { ok: false, expected: `other hosts: ${(error as Error).message}` };
    }
  };
}

export const configKeys = {
  port: key('PORT', 'Port for everything; 0 picks a free one.', number(0, 65535), '3000'),
  host: optional(
    'PARLEY_HOST',
    'Address to listen on; IPv6 with or without brackets. Default: 127.0.0.1 in the embedded demo, else all.',
    host(),
  ),
  adminPort: optional(
    'PARLEY_ADMIN_PORT',
    'Port for what operators use: `/metrics`, and `/ready` with what each check says. Set, the public port serves neither. Unset: both are on the public port.',
    number(0, 65535),
  ),
  adminHost: key('PARLEY_ADMIN_HOST', 'Address that the admin port listens on.', host(), '127.0.0.1'),
  nodeName: optional('PARLEY_NODE', 'Name of this process in logs and `ready`. Default: random.', text(1, 64)),

  workers: optional(
    'PARLEY_WORKERS',
    'Gateway processes that share the port: a number, or auto for one a core. Needs REDIS_URL. Unset: one, without a parent.',
    countOrAuto(1, 256),
  ),

  dataDir: key('PARLEY_DATA_DIR', 'Folder of the embedded database and its secret.', text(1, 4096), './data'),
  databaseUrl: secret(
    'DATABASE_URL',
    'Postgres 15 or later: postgres://user:password@host/db. Several hosts (host1:5432,host2:5432): sessions go to the first that takes writes; `?target_session_attrs=any` takes the first that answers. Unset: embedded.',
    databaseUrl(),
  ),
  databasePoolSize: key(
    'PARLEY_DATABASE_POOL_SIZE',
    'Connections to Postgres for commits and other commands that write.',
    number(2, 1000),
    '10',
  ),
  databaseReadPoolSize: key(
    'PARLEY_DATABASE_READ_POOL_SIZE',
    'Connections to Postgres for history, sync, search and other reads.',
    number(1, 1000),
    '6',
  ),
  databaseBackgroundPoolSize: key(
    'PARLEY_DATABASE_BACKGROUND_POOL_SIZE',
    'Connections to Postgres for retention, deleted rooms, the outbox and the search index.',
    number(1, 1000),
    '2',
  ),
  databaseReadWaitMs: key(
    'PARLEY_DATABASE_READ_WAIT_MS',
    'Time that a read waits for its turn, and then for a connection; after it the read is refused with `overloaded`.',
    number(100, 600_000),
    '10000',
  ),
  databaseReadTimeoutMs: key(
    'PARLEY_DATABASE_READ_TIMEOUT_MS',
    'Time that Postgres gives a statement of a read; `?statement_timeout=` in DATABASE_URL goes before it.',
    number(100, 600_000),
    '15000',
  ),

  redisUrl: secret(
    'REDIS_URL',
    'Redis 7 or later: redis://user:password@host:6379/0, for more than one process; rediss:// for TLS, `?family=6` for IPv6. Unset: this one is alone.',
    redisUrl(),
  ),
  redisPrefix: key('PARLEY_REDIS_PREFIX', 'Begins every key and channel of ours in Redis.', text(1, 64), 'parley:'),
  fanoutPartitions: key(
    'PARLEY_FANOUT_PARTITIONS',
    'Channels of Redis that rooms are spread over; the same on all nodes. Over 1, a node hears only those it needs.',
    number(1, 1024),
    '1',
  ),
  headsPollMs: key(
    'PARLEY_HEADS_POLL_MS',
    'Time between looks at Postgres for what this node was not told: memberships and settings of rooms, with Redis also events; every second while Redis is away.',
    number(100, 600_000),
    '5000',
  ),
  tailMessages: key(
    'PARLEY_TAIL_MESSAGES',
    'Messages of a room kept in memory, from which clients that come back are served without a query each. 0: none.',
    number(0, 10_000),
    '256',
  ),
  tailBytes: key(
    'PARLEY_TAIL_BYTES',
    'What they may take over all rooms.',
    number(0, 2 ** 40),
    String(64 * 1024 * 1024),
  ),

  socketioDoor: key(
    'PARLEY_SOCKETIO_DOOR',
    'With REDIS_URL: let `@socket.io/redis-emitter` and Socket.IO servers on that Redis reach the clients. Whoever may publish there may speak to all of them.',
    flag(),
    'on',
  ),
  socketioKey: key(
    'PARLEY_SOCKETIO_KEY',
    "Begins the channels of that door: the `key` of the services' emitters and adapters.",
    text(1, 64),
    'socket.io',
  ),
  socketioMaxMessageBytes: key(
    'PARLEY_SOCKETIO_MAX_MESSAGE_BYTES',
    'Largest message taken from there.',
    bytes(1024, 16 * 1024 * 1024),
    '256k',
  ),
  socketioRoomsPerConnection: key(
    'PARLEY_SOCKETIO_ROOMS_PER_CONNECTION',
    'Rooms of their own that services may put one connection into.',
    number(0, 100_000),
    '100',
  ),
  socketioMaxListed: key(
    'PARLEY_SOCKETIO_MAX_LISTED',
    'Connections, or rooms, in one answer of a node to such a service (`fetchSockets`, `allRooms`). 10,000 connections are about 3 MB of JSON.',
    number(1, 1_000_000),
    '10000',
  ),

  jwtSecret: secret('PARLEY_JWT_SECRET', 'HS256 secret, at least 32 bytes.', text(32, 4096)),
  jwtPreviousSecret: secret('PARLEY_JWT_PREVIOUS_SECRET', 'Accepted too, while secrets are rotated.', text(32, 4096)),
  jwtPublicKey: {
    ...optional('PARLEY_JWT_PUBLIC_KEY', 'PEM public key for RS256, ES256 or EdDSA.', text(32, 16384)),
    lines: true,
  },
  jwksUrl: optional('PARLEY_JWKS_URL', 'Where the public keys are published (JWKS).', url('https:', 'http:')),
  jwtIssuer: optional('PARLEY_JWT_ISSUER', 'Required `iss` of tokens.', text(1, 1024)),
  jwtAudience: optional('PARLEY_JWT_AUDIENCE', 'Required `aud` of tokens.', text(1, 1024)),
  jwtLeewayMs: key(
    'PARLEY_JWT_LEEWAY_MS',
    'How far the clocks of the issuer and the server may differ, for `iat` and `nbf` of tokens. `exp` has no leeway.',
    number(0, 600_000),
    '60000',
  ),
  tokenInUrl: key(
    'PARLEY_TOKEN_IN_URL',
    'Whether the token may come as `?token=` of the handshake. Proxies and servers write addresses into their logs, so leave it off where a client can send `auth` or a header.',
    flag(),
    'off',
  ),
  origins: optional(
    'PARLEY_ORIGINS',
    'Web origins that may connect, by comma; `*` for any. Default: the same host by the same scheme; in the embedded demo any page of this machine too. The demo answers only to names of this machine, to addresses, and to the hosts of this list.',
    list(origin()),
  ),

  pingIntervalMs: key('PARLEY_PING_INTERVAL_MS', 'Time between heartbeats.', number(1000, 300_000), '25000'),
  pingTimeoutMs: key(
    'PARLEY_PING_TIMEOUT_MS',
    'A connection silent for interval + timeout is closed.',
    number(1000, 300_000),
    '20000',
  ),
  connectTimeoutMs: key(
    'PARLEY_CONNECT_TIMEOUT_MS',
    'Time from the handshake to CONNECT.',
    number(100, 300_000),
    '10000',
  ),
  upgradeTimeoutMs: key(
    'PARLEY_UPGRADE_TIMEOUT_MS',
    'Time for a WebSocket to take over from long-polling.',
    number(100, 300_000),
    '10000',
  ),
  maxFrameBytes: key(
    'PARLEY_MAX_FRAME_BYTES',
    'Largest frame a client may send.',
    bytes(4096, 16 * 1024 * 1024),
    '64k',
  ),
  maxBufferedBytes: key(
    'PARLEY_MAX_BUFFERED_BYTES',
    'Unsent bytes after which a slow connection is closed.',
    bytes(65_536, 1024 ** 3),
    '4m',
  ),
  softBufferedBytes: key(
    'PARLEY_SOFT_BUFFERED_BYTES',
    'Unsent bytes over which a slow connection gets no signals.',
    bytes(4096, 1024 ** 3),
    '256k',
  ),
  behindBufferedBytes: key(
    'PARLEY_BEHIND_BUFFERED_BYTES',
    'Unsent bytes over which a slow connection gets `behind` instead of events.',
    bytes(4096, 1024 ** 3),
    '1m',
  ),
  maxUnsentBytesPerUser: key(
    'PARLEY_MAX_UNSENT_BYTES_PER_USER',
    'Unsent bytes of one user, over all connections to this process. A user over the limit gets no large answer, and the connections with the largest buffers are closed.',
    bytes(65_536, 2 ** 40),
    '16m',
  ),
  maxUnsentBytesPerAddress: key(
    'PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS',
    'Unsent bytes of one IP address (of IPv6: one /64), treated likewise.',
    bytes(65_536, 2 ** 40),
    '128m',
  ),
  readsAtOncePerUser: key(
    'PARLEY_READS_AT_ONCE_PER_USER',
    'Reads of messages (`history`, `sync`, `search` and the like) of one user that run at once in this process; eight times as many wait.',
    number(1, 10_000),
    '4',
  ),
  compression: key(
    'PARLEY_COMPRESSION',
    'permessage-deflate for frames over 1 KiB: off, or shared (one compressor for all; costs about 30 µs a delivery of 2 KB).',
    oneOf('off', 'shared'),
    'off',
  ),
  maxConnections: key(
    'PARLEY_MAX_CONNECTIONS',
    'Connections to this process; fewer where the limit of open files (ulimit -n) leaves less.',
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
    'Handshakes from one IP address (of IPv6: one /64), sustained; ten times as many at once.',
    number(1, 1_000_000),
    '100',
  ),
  trustedProxies: key(
    'PARLEY_TRUSTED_PROXIES',
    'Proxies whose X-Forwarded-For and PROXY protocol are believed: addresses and ranges, by comma.',
    list(range()),
    '',
  ),
  maxConnectionsPerAddress: key(
    'PARLEY_MAX_CONNECTIONS_PER_ADDRESS',
    'Connections from one IP address (of IPv6: one /64).',
    number(1, 10_000_000),
    '1000',
  ),
  commandsPerSecond: key(
    'PARLEY_COMMANDS_PER_SECOND',
    'Commands of one connection, sustained. Dear ones count more: most 1 or 2, `room:create` and `unread` 5, `search` 10 (docs/protocol.md: "Counts as").',
    number(1, 1_000_000),
    '50',
  ),
  commandBurst: key(
    'PARLEY_COMMAND_BURST',
    'Commands of one connection at once, counted likewise.',
    number(1, 1_000_000),
    '200',
  ),
  maxRefusedCommands: key(
    'PARLEY_MAX_REFUSED_COMMANDS',
    'Commands refused with `rate_limited` in a row after which a connection is closed. Packets over the rate that nobody waits for count as such.',
    number(1, 1_000_000),
    '1000',
  ),
  commandsPerSecondPerUser: optional(
    'PARLEY_COMMANDS_PER_SECOND_PER_USER',
    'Commands of one user to this process, over all connections, counted likewise. Default: twice PARLEY_COMMANDS_PER_SECOND.',
    number(1, 10_000_000),
  ),
  commandBurstPerUser: optional(
    'PARLEY_COMMAND_BURST_PER_USER',
    'Commands of one user at once. Default: five times PARLEY_COMMAND_BURST.',
    number(1, 10_000_000),
  ),
  commandsPerSecondPerAddress: key(
    'PARLEY_COMMANDS_PER_SECOND_PER_ADDRESS',
    'Refused CONNECTs and stray packets of connections without a user, from one IP address (of IPv6: one /64); ten times as many at once. A connection over the rate is closed.',
    number(1, 1_000_000),
    '100',
  ),
  bytesInPerSecondPerUser: optional(
    'PARLEY_BYTES_IN_PER_SECOND_PER_USER',
    'Bytes that the connections of one user send to this process; ten times as many at once. Default: 8k for each command a second of the user.',
    bytes(1024, 2 ** 40),
  ),
  bytesOutPerSecondPerUser: optional(
    'PARLEY_BYTES_OUT_PER_SECOND_PER_USER',
    'Bytes of large answers (`sync`, `history`, lists) to one user from this process; ten times as many at once. Default: 32k for each command a second of the user.',
    bytes(1024, 2 ** 40),
  ),
  joinsPerMinutePerUser: optional(
    'PARLEY_JOINS_PER_MINUTE_PER_USER',
    'Rooms that one user creates, joins and leaves a minute, over all nodes. Default: as many as commands a second of the user.',
    number(1, 10_000_000),
  ),
  invitationsPerMinutePerUser: optional(
    'PARLEY_INVITATIONS_PER_MINUTE_PER_USER',
    'Users whom one user adds or invites to rooms a minute, over all nodes. Default: as many as commands a second of the user.',
    number(1, 10_000_000),
  ),
  tiers: optional(
    'PARLEY_TIERS',
    "Messages a minute of one user, over all devices and nodes, by the token's `tier`: such as standard=600,premium=6000. " +
      'Tokens without a tier or with another one count as standard. Default: standard, with 60 for each command a second of the user. `off`: unlimited.',
    tiers(),
  ),
  connectsPerMinutePerUser: key(
    'PARLEY_CONNECTS_PER_MINUTE_PER_USER',
    'CONNECTs of one user a minute, over all nodes.',
    number(1, 1_000_000),
    '600',
  ),
  maxEventLoopDelayMs: key(
    'PARLEY_MAX_EVENT_LOOP_DELAY_MS',
    'Delay of the event loop over which work is refused with `overloaded`.',
    number(5, 60_000),
    '500',
  ),
  maxMemoryBytes: optional(
    'PARLEY_MAX_MEMORY_BYTES',
    'Resident memory over which work is refused. Default: 80 % of what the process may have.',
    bytes(64 * 1024 ** 2, 2 ** 50),
  ),
  maxPendingCommands: key(
    'PARLEY_MAX_PENDING_COMMANDS',
    'Unanswered commands of one connection.',
    number(1, 1_000_000),
    '1000',
  ),

  writerQueue: key(
    'PARLEY_WRITER_QUEUE',
    'Messages, changes of messages and pins that wait for their commit, all together; above it they get `overloaded`.',
    number(10, 10_000_000),
    '20000',
  ),
  writerBatch: key('PARLEY_WRITER_BATCH', 'Messages in one commit.', number(1, 5000), '500'),
  writerStripes: optional('PARLEY_WRITER_STRIPES', 'Commits in flight at once. Default: 2, embedded 1.', number(1, 64)),
  editWindowMs: key(
    'PARLEY_EDIT_WINDOW_MS',
    'How long after sending its author may edit a message, where the room does not say; 0: for ever. Owners and admins always may.',
    number(0, 10 * 365 * 86_400_000),
    '0',
  ),
  attachmentHosts: optional(
    'PARLEY_ATTACHMENT_HOSTS',
    'Where the files that messages name may be, by comma: hosts, `*.example.com` for all below one, `*` for any. ' +
      'Whoever reads a message shows themselves to that host. Unset: none; in the embedded demo this machine, by http too.',
    list(hostPattern()),
  ),
  attachmentTypes: key(
    'PARLEY_ATTACHMENT_TYPES',
    'Media types of such files, by comma; `image/*` for a kind. SVG and HTML can carry scripts.',
    list(mediaType()),
    'image/avif,image/gif,image/jpeg,image/png,image/webp,audio/*,video/*,application/pdf,application/zip,text/csv,text/plain',
  ),
  attachmentMaxBytes: key(
    'PARLEY_ATTACHMENT_MAX_BYTES',
    'Largest size that a message may claim of such a file.',
    bytes(1, 2 ** 50),
    '100m',
  ),
  retentionDays: optional(
    'PARLEY_RETENTION_DAYS',
    'Days after which messages expire, in rooms that have no such setting of their own. Unset: never.',
    number(1, 36_500),
  ),
  retentionEveryMs: key(
    'PARLEY_RETENTION_EVERY_MS',
    'Time between rounds in which expired messages are deleted; one node makes each.',
    number(100, 86_400_000),
    '3600000',
  ),
  search: key(
    'PARLEY_SEARCH',
    'Whether messages can be searched; off: they are not taken into the index.',
    flag(),
    'on',
  ),
  searchLanguage: key(
    'PARLEY_SEARCH_LANGUAGE',
    'Text search configuration of Postgres, such as `english`; `simple` fits all languages and knows no grammar. The same on all nodes; another one takes all messages in anew.',
    text(1, 63),
    'simple',
  ),
  searchesAtOnce: key(
    'PARLEY_SEARCHES_AT_ONCE',
    'Searches of this process at once, one of each user. Four times as many wait, two of each user; users take turns.',
    number(1, 100),
    '2',
  ),
  searchTimeoutMs: key(
    'PARLEY_SEARCH_TIMEOUT_MS',
    'Time that Postgres gives a statement of a search; then the search is refused with `overloaded`. The embedded database has no such limit.',
    number(100, 600_000),
    '2000',
  ),
  signalsPerSecond: key(
    'PARLEY_SIGNALS_PER_SECOND',
    'Signals of one connection, sustained.',
    number(1, 1_000_000),
    '20',
  ),
  signalBurst: key('PARLEY_SIGNAL_BURST', 'Signals of one connection at once.', number(1, 1_000_000), '40'),
  signalsPerSecondPerUser: optional(
    'PARLEY_SIGNALS_PER_SECOND_PER_USER',
    'Signals of one user to this process, over all connections. Default: twice PARLEY_SIGNALS_PER_SECOND.',
    number(1, 10_000_000),
  ),
  signalBurstPerUser: optional(
    'PARLEY_SIGNAL_BURST_PER_USER',
    'Signals of one user at once. Default: twice PARLEY_SIGNAL_BURST.',
    number(1, 10_000_000),
  ),
  adding: key(
    'PARLEY_ADDING',
    'How `room:invite` brings a user into a room, and `room:create` the other user into a direct room. consent: the user is invited, and accepts or declines. direct: the user is added without being asked, for a closed installation. Tokens with `"backend": true` always add.',
    oneOf('consent', 'direct'),
    'consent',
  ),
  maxRoomsPerUser: key(
    'PARLEY_MAX_ROOMS_PER_USER',
    'Rooms that one user may have made or be in by their own will; apart from these, as many that others added them to, and as many direct rooms that others opened.',
    number(1, 1_000_000),
    '5000',
  ),
  maxMembersPerRoom: key('PARLEY_MAX_MEMBERS_PER_ROOM', 'Members one room may have.', number(2, 10_000_000), '100000'),
  guestsPerMinute: key(
    'PARLEY_GUESTS_PER_MINUTE',
    'Guest tokens for one IP address (of IPv6: one /64) a minute (embedded demo).',
    number(1, 1_000_000),
    '30',
  ),

  logLevel: key(
    'PARLEY_LOG_LEVEL',
    'fatal, error, warn, info, debug or silent.',
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'silent'),
    'info',
  ),
  logPretty: optional('PARLEY_LOG_PRETTY', 'Readable logs instead of JSON. Default: on a terminal.', flag()),
  drainMs: optional(
    'PARLEY_DRAIN_MS',
    'Window over which a stopping server sends its connections away. Default: 20000, embedded 0.',
    number(0, 3_600_000),
  ),
  shutdownMs: key(
    'PARLEY_SHUTDOWN_MS',
    'How long a stop may take after the drain window before it is forced.',
    number(100, 600_000),
    '10000',
  ),
} as const;

type Keys = typeof configKeys;
type ValueOf<K> = K extends { default: string }
  ? K extends Key<infer T>
    ? T
    : never
  : K extends Key<infer T>
    ? T | undefined
    : never;

export type Config = { readonly [K in keyof Keys]: ValueOf<Keys[K]> } & {
  /** No DATABASE_URL: Postgres runs inside this process, and the demo's guests are on. */
  readonly embedded: boolean;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws {StartupError} naming every bad and every unknown `PARLEY_*` key with what was expected. */
export function loadConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(configKeys) as [string, Key<unknown>][]) {
    const given = entry.secret ? secretOf(env, entry.env, problems) : env[entry.env];
    const source = given === undefined || given === '' ? entry.default : given.trim();
    if (source === undefined) continue;
    const expected = given ? misread(source, entry.lines === true) : undefined;
    const parsed = expected === undefined ? entry.parse(source) : ({ ok: false, expected } as const);
    if (parsed.ok) values[name] = parsed.value;
    else problems.push(`${entry.env}=${entry.secret ? '(hidden)' : masked(source)}: expected ${parsed.expected}`);
  }
  const all: Key<unknown>[] = Object.values(configKeys);
  const known = new Set(all.flatMap((entry) => (entry.secret ? [entry.env, `${entry.env}_FILE`] : entry.env)));
  for (const name of Object.keys(env)) {
    if (name.startsWith('PARLEY_') && !known.has(name)) problems.push(`${name}: unknown${suggestion(name, known)}`);
  }
  if (problems.length === 0) problems.push(...contradictions(values as unknown as Config));
  if (problems.length > 0) throw new StartupError(`Bad configuration:\n  ${problems.join('\n  ')}`);
  const config = { ...values, embedded: values['databaseUrl'] === undefined } as Config;
  return Object.freeze(config);
}

/** The parts that stand or fall together, checked where a server is to run. `token` and `--help` need less. */
export function requireKeys(config: Config): void {
  if (config.embedded) {
    if (config.redisUrl === undefined) return;
    throw new StartupError('REDIS_URL is for several processes on one Postgres: set DATABASE_URL too.');
  }
  if (config.jwtSecret === undefined && config.jwtPublicKey === undefined && config.jwksUrl === undefined) {
    throw new StartupError(
      'DATABASE_URL is set, so this is no demo: a key is needed to check tokens. Set PARLEY_JWT_SECRET (at least 32 ' +
        'bytes, e.g. from `openssl rand -base64 48`), PARLEY_JWT_PUBLIC_KEY or PARLEY_JWKS_URL.',
    );
  }
}

/** The environment for a process that we start, with these keys put in the place of its own. */
export function environmentWith(changed: Environment): NodeJS.ProcessEnv {
  return { ...process.env, ...changed };
}

/** The effective values as an operator may see them: secrets are named but not shown. */
export function describeConfig(config: Config): { env: string; value: string; about: string }[] {
  return (Object.entries(configKeys) as [keyof Keys, Key<unknown>][]).map(([name, entry]) => {
    const value: string | number | boolean | readonly string[] | undefined = config[name];
    const shown = value === undefined ? '(unset)' : entry.secret ? '(set)' : masked(String(value));
    return { env: entry.env, value: shown, about: entry.about };
  });
}

/** What a shell or a file left in a value: refused, for nobody means it. White space at the ends has been cut off. */
function misread(source: string, lines: boolean): string | undefined {
  if (source === '') return 'a value, or none at all';
  if (/^(["'`])[^]*\1$/.test(source) && source.length > 1) return 'a value without quotes around it';
  return !lines && /[\r\n\0]/.test(source) ? 'one line' : undefined;
}

/** A URL may hold a user and a password; neither is shown. */
function masked(value: string): string {
  return value.replaceAll(/(\w:\/\/)[^/@\s]*@/g, '$1(hidden)@');
}

function suggestion(name: string, known: Set<string>): string {
  if (known.has(name.slice('PARLEY_'.length))) return `; did you mean ${name.slice('PARLEY_'.length)}?`;
  const near = [...known].map((other) => ({ other, d: distance(name, other) })).sort((a, b) => a.d - b.d)[0];
  return near !== undefined && near.d <= 3 ? `; did you mean ${near.other}?` : '';
}

/** Levenshtein distance, for names of a few dozen letters. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
