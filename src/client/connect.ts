import type { EventData } from '../protocol/events.ts';
import { Client } from './client.ts';
import type { SocketConstructor } from './link.ts';
import type { Store } from './store.ts';
import type { TokenSource } from './token.ts';

export interface ConnectOptions {
  /** The address of the server: `https://chat.example.org`, also with a path; `ws:` and `wss:` work too. */
  url: string;
  /** The token, or a function that returns one. The function is called on each connect and before the token expires. */
  token: TokenSource;
  /** A WebSocket class for Node before 22, for instance `ws`. */
  WebSocket?: SocketConstructor;
  /** Keeps unsent messages and the last seen rooms over a reload. Default: in memory, for the life of the client. */
  store?: Store;
  /**
   * The id of the user, if it is known before a token is, or if the token is no JWT. Default: the `sub` of the token.
   */
  user?: string;
  /** Share one connection with the other tabs of this user, where browsers can (https, localhost). Default: true. */
  tabs?: boolean;
  /** The time limit for the answer to a command, and for the greeting of a connection, in ms. Default: 15,000. */
  timeoutMs?: number;
  /** The name of this device in the user's list of sessions, 1 to 64 characters. */
  device?: string;
}

export type User = EventData<'ready'>['user'];

/** Connects at once and stays connected until `close()`. */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}
