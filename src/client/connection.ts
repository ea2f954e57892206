/**
 * The connection that outlives its sockets.
 *
 * connecting ── ready ──▶ connected ── lost ──▶ waiting ── time, `online`, wake() ──▶ connecting
 *      └── failed ──▶ waiting                      any ── close(), refused for good ──▶ closed
 *
 * `closed` carries an error when the server will not have us; nothing but a new client leaves it.
 */
import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { delayBefore, reconnectBackoff } from './backoff.ts';
import { asParleyError, disconnected } from './failure.ts';
import { Link } from './link.ts';
import type { LinkEnd, SocketConstructor } from './link.ts';
import { Cell } from './store.ts';
import type { Store } from './store.ts';
import { TokenKeeper } from './token.ts';
import type { TokenSource } from './token.ts';
import { isObject } from './wire.ts';

export type ConnectionState =
  | { readonly status: 'connecting'; readonly attempt: number }
  | { readonly status: 'connected' }
  /** `until`: when the next try starts, as of `Date.now()`. */
  | { readonly status: 'waiting'; readonly until: number; readonly attempt: number; readonly error?: ParleyError }
  | { readonly status: 'closed'; readonly error?: ParleyError };

export interface ConnectionOptions {
  readonly url: string;
  readonly token: TokenSource;
  readonly WebSocket: SocketConstructor;
  readonly device: string | undefined;
}

export interface ConnectionHandlers {
  /** Before the state becomes `connected`, so that who sees that state finds the rooms in place. */
  ready(ready: EventData<'ready'>): void;
  event(name: string, data: unknown): void;
}

/** A connection that lived this long had no part in the trouble: the next wait starts small again. */
const stableMs = 5000;
export const commandTimeoutMs = 15_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #state = new Cell<ConnectionState>({ status: 'connecting', attempt: 0 });
  readonly #token: TokenKeeper;
  #link: Link | undefined;
  #attempt = 0;
  #liveSince = 0;
  #refusals = 0;
  /** The token that was taken back: it is not tried again, only another one is. */
  #revoked: string | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #page = globalThis as PageEvents;
  readonly #wake = (): void => this.wake();
  readonly #offline = (): void => this.#link?.close();

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#token = new TokenKeeper(options.token, async (token) => {
      const { expires } = await this.request('auth:refresh', { token });
      return expires;
    });
    this.#page.addEventListener?.('online', this.#wake);
    // The browser knows before the heartbeat does; it may be wrong for a server on this machine, then the next try succeeds.
    this.#page.addEventListener?.('offline', this.#offline);
    void this.#connect();
  }

  get state(): Store<ConnectionState> {
    return this.#state;
  }

  /** Tries again at once instead of waiting on. */
  wake(): void {
    if (this.#state.value.status !== 'waiting') return;
    clearTimeout(this.#retryTimer);
    void this.#connect();
  }

  /** Fails with `unavailable` at once when not connected; `whenConnected` waits. */
  async request<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    timeoutMs = commandTimeoutMs,
  ): Promise<CommandOutput<C>> {
    if (this.#link === undefined) throw disconnected();
    return (await this.#link.request(name, input, timeoutMs)) as CommandOutput<C>;
  }

  whenConnected(withinMs: number): Promise<void> {
    return new Promise((resolve, reject: (error: ParleyError) => void) => {
      const look = (state: ConnectionState): void => {
        if (state.status === 'connected') done(resolve);
        if (state.status === 'closed') done(() => reject(state.error ?? disconnected('The client was closed.')));
      };
      const timer = setTimeout(() => done(() => reject(disconnected())), withinMs);
      const stop = this.#state.subscribe(look);
      const done = (then: () => void): void => {
        clearTimeout(timer);
        stop();
        then();
      };
      look(this.#state.value);
    });
  }

  close(error?: ParleyError): void {
    if (this.#state.value.status === 'closed') return;
    this.#state.set(error === undefined ? { status: 'closed' } : { status: 'closed', error });
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#drainTimer);
    this.#token.stop();
    this.#page.removeEventListener?.('online', this.#wake);
    this.#page.removeEventListener?.('offline', this.#offline);
    this.#link?.close();
    this.#link = undefined;
  }

  async #connect(): Promise<void> {
    this.#state.set({ status: 'connecting', attempt: this.#attempt });
    let token: string;
    try {
      token = await this.#token.take();
    } catch (thrown) {
      const error = asParleyError(thrown);
      const final = error.code === 'unauthorized' || error.code === 'token_expired' || error.code === 'forbidden';
      if (final) this.close(error);
      else this.#wait(error);
      return;
    }
    if (this.#state.value.status !== 'connecting') return;
    if (token === this.#revoked) return this.close(new ParleyError('session_revoked'));
    try {
      this.#link = new Link(
        this.#options.WebSocket,
        socketUrl(this.#options.url),
        { token, device: this.#options.device },
        {
          ready: (ready) => this.#live(ready),
          event: (name, data) => this.#event(name, data),
          ended: (end) => this.#lost(end),
        },
      );
    } catch (thrown) {
      // A malformed address, or ws: from an https: page: the next try would be refused in the same way.
      this.close(new ParleyError('invalid', asParleyError(thrown).message, { cause: thrown }));
    }
  }

  #live(ready: EventData<'ready'>): void {
    this.#liveSince = Date.now();
    this.#refusals = 0;
    this.#token.refreshBefore(ready.expires);
    this.#handlers.ready(ready);
    this.#state.set({ status: 'connected' });
  }

  #event(name: string, data: unknown): void {
    if (name === 'drain') this.#drain(data);
    else this.#handlers.event(name, data);
  }

  /** The server goes down and gave each client its own moment to leave; those who all leave at once come back at once. */
  #drain(data: unknown): void {
    const after = isObject(data) && typeof data['after'] === 'number' ? data['after'] : 0;
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#link?.close(), after);
  }

  #lost(end: LinkEnd): void {
    this.#link = undefined;
    this.#token.stop();
    clearTimeout(this.#drainTimer);
    if (this.#state.value.status === 'closed') return;
    if (this.#liveSince > 0 && Date.now() - this.#liveSince >= stableMs) this.#attempt = 0;
    this.#liveSince = 0;
    if (end.error?.code === 'session_revoked') {
      this.#revoked = this.#token.last;
      if (!this.#token.renewable) return this.close(end.error);
    }
    if (end.refused && end.error !== undefined && !end.error.retryable && !this.#mayHelpToRenew(end.error)) {
      this.close(end.error);
    } else this.#wait(end.error);
  }

  /** An expired token is worth one more try, with the one the application gives next. */
  #mayHelpToRenew(error: ParleyError): boolean {
    this.#refusals += 1;
    return error.code === 'token_expired' && this.#token.renewable && this.#refusals === 1;
  }

  #wait(error: ParleyError | undefined): void {
    const delay = delayBefore(this.#attempt, reconnectBackoff, error?.retryAfter);
    this.#attempt += 1;
    const waiting = { status: 'waiting', until: Date.now() + delay, attempt: this.#attempt } as const;
    this.#retryTimer = setTimeout(() => void this.#connect(), delay);
    this.#state.set(error === undefined ? waiting : { ...waiting, error });
  }
}

/** A browser's window, or nothing of the kind. */
interface PageEvents {
  addEventListener?(type: 'online' | 'offline', listener: () => void): void;
  removeEventListener?(type: 'online' | 'offline', listener: () => void): void;
}

function socketUrl(base: string): string {
  const url = new URL(base);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  url.pathname = `${url.pathname.replace(/\/$/, '')}/socket.io/`;
  url.search = '?EIO=4&transport=websocket';
  url.hash = '';
  return url.href;
}
