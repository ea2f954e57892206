import { Socket } from 'node:net';
import postgres from 'postgres';
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

/**
 * The driver forgets a query that starts between a socket's `error` and its `close` (they are two phases of the event
 * loop): nobody ever answers it. It does answer for what is open at a `close` without an error before it, so that is
 * what it is told. TLS sockets are the driver's own; for them the writer's deadline is left.
 */
class WholeSocket extends Socket {
  #failed = false;

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'error') this.#failed = true;
    if (event !== 'close') return super.emit(event, ...args);
    if (!this.#failed && this.listenerCount('error') > 0) {
      super.emit('error', Object.assign(new Error('the connection was closed'), { code: 'CONNECTION_CLOSED' }));
    }
    return super.emit('close', false);
  }
}

function openSocket({ host, port, path }: { host: string[]; port: number[]; path?: string }): Socket {
  const socket = new WholeSocket();
  return path ? socket.connect(path) : socket.connect(port[0] ?? 5432, host[0] ?? 'localhost');
}

/** The one place where a `postgres` client is made. */
export function createClient(url: string, options: ClientOptions): postgres.Sql {
  // a caller with a socket of its own has no server to find
  const { url: plain, ...target } = 'socket' in options ? { url } : readConnectionUrl(url);
  return postgres(plain, {
    // missing in the driver's types
    ...({ socket: openSocket, ...target } as object),
    onnotice: () => {},
    ...options,
    types,
    // seconds; the driver's own grows to 20 s, for which every send would wait after the server is back
    backoff: (attempt: number) => Math.min(0.5, 0.02 * 2 ** attempt) * (0.5 + Math.random() / 2),
    connection: { ...options.connection, application_name: 'parley', TimeZone: 'UTC', DateStyle: 'ISO' },
  }) as unknown as postgres.Sql;
}
