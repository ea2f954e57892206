import postgres from 'postgres';
import { Socket } from 'node:net';
import { StartupError } from '../startup-error.ts';
import { sessionUnfit } from './failure.ts';
import { HostChoice, splitHosts, type Host } from './hosts.ts';
import { readConnectionUrl } from './connection-url.ts';

/**
 * How values travel, the same for both forms of the database:
 *
 * | Postgres      | read as                              | written from                                    |
 * | ------------- | ------------------------------------ | ----------------------------------------------- |
 * | `int8`        | number (counters stay below 2^53)    | number or bigint                                |
 * | `json, jsonb` | JSON text, never parsed              | JSON text; an object is refused                 |
 * | `timestamptz` | whole milliseconds since 1970        | the same, or a Date                             |
 *
 * Message bodies are opaque to the server: a parse and a stringify for each message would be its largest cost.
 */
const types = {
  bigint: {
    to: 20,
    from: [20],
    parse: Number,
    serialize: (value: number | bigint): string => value.toString(),
  },
  // The name replaces the driver's own `json` type.
  json: {
    to: 114,
    from: [114, 3802],
    parse: (text: string): string => text,
    serialize: (value: unknown): string => {
      if (typeof value !== 'string') throw new TypeError('json and jsonb are written as JSON text: stringify first');
      return value;
    },
  },
  instant: {
    to: 1184,
    from: [1184],
    parse: parseInstant,
    serialize: (value: number | Date): string => new Date(value).toISOString(),
  },
};

/** Reads `2026-01-31 23:59:59.123456+00`; the sessions are set to UTC and ISO dates. Rounds down to milliseconds. */
function parseInstant(text: string): number {
  const fraction =
    text.length > 22
      ? Number(
          text
            .slice(20, text.length - 3)
            .padEnd(3, '0')
            .slice(0, 3),
        )
      : 0;
  return (
    Date.UTC(
      Number(text.slice(0, 4)),
      Number(text.slice(5, 7)) - 1,
      Number(text.slice(8, 10)),
      Number(text.slice(11, 13)),
      Number(text.slice(14, 16)),
      Number(text.slice(17, 19)),
    ) + fraction
  );
}

type ClientOptions = postgres.Options<Record<string, postgres.PostgresType>>;

/** Options of patches/postgres+3.4.9.patch, and one of the driver, which the driver's types do not know. */
export interface PatchedOptions {
  /** A pooled connection was found inside a transaction without an owner. The driver ends the connection. */
  readonly onunsafe?: (left: LeftTransaction) => void;
  /** Seconds without a byte from the server while an answer is due; the connection ends then. */
  readonly silence_timeout?: number;
  /** Seconds that a statement waits for a free connection; then it fails with `POOL_TIMEOUT`. */
  readonly wait_timeout?: number;
  /** Called for each notification that a session receives (`listen`). */
  readonly onnotify?: (channel: string, payload: string) => void;
  /** Statements that may wait on one connection behind the one that runs. */
  readonly max_pipeline?: number;
}

export interface LeftTransaction {
  readonly pid: number;
  /** `T`: in a transaction; `E`: in one that failed. */
  readonly status: 'T' | 'E';
}

/** The driver writes to the socket at once; the socket keeps that back until a host is chosen. */
function openSocketTo(choice: HostChoice): Socket {
  const socket = new Socket();
  socket.cork();
  socket.once('close', () => choice.reconsider());
  choice.choose().then(
    ({ host, port }) => {
      if (socket.destroyed || socket.writableEnded) socket.destroy();
      else {
        // the driver requests the certificate of this host
        Object.assign(socket, { host });
        socket.connect(port, host);
        socket.uncork();
      }
    },
    (error: Error) => void socket.destroy(error),
  );
  return socket;
}

const probeSeconds = 3;

async function takesWrites(url: string, options: ClientOptions, { host, port }: Host): Promise<boolean> {
  const probe = postgres(url, { ...options, host, port, max: 1, connect_timeout: probeSeconds, fetch_types: false });
  try {
    const [row] = await probe<[{ writable: boolean }]>`
      select not pg_is_in_recovery() and not current_setting('transaction_read_only')::boolean as writable`;
    return row.writable;
  } finally {
    await probe.end({ timeout: 0 });
  }
}

/** The one place where a `postgres` client is made. */
export function createClient(text: string, options: ClientOptions & PatchedOptions): postgres.Sql {
  requirePatch();
  const { url: single, hosts, writable } = splitHosts(text);
  // a caller with a socket of its own has no server to find
  const { url, ...target } = 'socket' in options ? { url: single } : readConnectionUrl(single);
  const choice =
    hosts.length === 1
      ? undefined
      : new HostChoice(hosts, async (host) => (await takesWrites(url, base, host)) || !writable);
  const base: ClientOptions = {
    onnotice: () => {},
    ...options,
    // parameters of the URL take precedence
    ...(target as object),
    types,
    // seconds; the driver's own grows to 20 s, for which every send would wait after the server is back
    backoff: (attempt: number) => Math.min(0.5, 0.02 * 2 ** attempt) * (0.5 + Math.random() / 2),
    unfit: (error, ageMs) => sessionUnfit(error, ageMs),
    connection: { ...options.connection, application_name: 'parley', TimeZone: 'UTC', DateStyle: 'ISO' },
  };
  const chosen = choice === undefined ? {} : { socket: () => openSocketTo(choice) };
  return postgres(url, { ...base, ...chosen }) as unknown as postgres.Sql;
}

/** As published, the driver loses acknowledged rows: better no server than one that runs on it. */
function requirePatch(): void {
  if ('patched' in postgres) return;
  throw new StartupError('The Postgres driver is not patched: run "npm run postinstall" in the folder of Parley');
}
