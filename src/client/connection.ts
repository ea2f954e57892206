/**
 * The connection that outlives its sockets.
 *
 * connecting ── ready ──▶ connected ── lost ──▶ waiting ── time, `online`, wake() ──▶ connecting
 *      └── failed ──▶ waiting                      any ── close(), refused for good ──▶ closed
 *
 * `closed` carries an error if the server refused this client for good; only a new client can connect again. The state is
 * `connecting` while `admit` waits (another tab has the connection), and after `suspend`.
 */
import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { delayBefore, reconnectBackoff } from './backoff.ts';
import { asParleyError, disconnected } from './failure.ts';
import { Link } from './link.ts';
import { listen } from './page.ts';
import type { LinkEnd, SocketConstructor } from './link.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { TokenHolder } from './token.ts';
import type { TokenSource } from './token.ts';
import { isObject } from './wire.ts';

export type ConnectionState =
  /** `error`: the failure of the attempt before, as in `waiting`. */
  | { readonly status: 'connecting'; readonly attempt: number; readonly error?: ParleyError }
  | { readonly status: 'connected' }
  /** `until`: the time of the next attempt, as of `Date.now()`. */
  | { readonly status: 'waiting'; readonly until: number; readonly attempt: number; readonly error?: ParleyError }
  | { readonly status: 'closed'; readonly error?: ParleyError };

export interface ConnectionOptions {
  readonly url: string;
  readonly token: TokenSource;
  readonly WebSocket: SocketConstructor;
  readonly device?: string;
  /** The time limit for the answer to a command, unless the call has its own, and for the greeting of a link; in ms. */
  readonly timeoutMs: number;
  /** Called with the token before each link is opened; the link waits for it. */
  readonly admit: (token: string) => Promise<void>;
}

export interface ConnectionHandlers {
  /** Called before the state becomes `connected`, so that a listener of that state finds the rooms in place. */
  ready(ready: EventData<'ready'>): void;
  event(name: string, data: unknown): void;
}

/** After a connection that lived this long the next wait is short again: the server is not in trouble. */
const stableMs = 5000;
/** A token that waited longer than this for its link is requested again. */
const freshMs = 10_000;
/** A refused token may date from the second of a revocation: the next token needs another second. */
const nextTokenMs = 1000;
/** The interval of a clock. If it has moved on by far more, the machine slept, and links may be dead. */
const clockMs = 5000;
const sleptMs = 30_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #state = new Cell<ConnectionState>({ status: 'connecting', attempt: 0 });
  readonly #token: TokenHolder;
  #link: Link | undefined;
  #attempt = 0;
  #liveSince = 0;
  #refusals = 0;
  /** The error of the last attempt. */
  #error: ParleyError | undefined;
  /** The revoked token. Only another token is tried. */
  #revoked: string | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  /** The server accepts no connection of this client until then. */
  #notBefore = 0;
  /** The number of the attempt; results of earlier ones are dropped. */
  #life = 0;
  #suspended = false;
  readonly #stops: (() => void)[];

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#token = new TokenHolder(options.token, options.timeoutMs, async (token) => {
      const { expires } = await this.request('auth:refresh', { token });
      return expires;
    });
    const check = (): void => this.check();
    let checked = Date.now();
    const clock = setInterval(() => {
      if (Date.now() - checked > sleptMs) this.check();
      checked = Date.now();
    }, clockMs);
    // In Node, the clock alone does not keep the process alive. The link does.
    (clock as { unref?: () => void }).unref?.();
    this.#stops = [
      () => clearInterval(clock),
      listen('window', 'online', check),
      // The browser notices before the heartbeat does. For a server on this machine the browser may be wrong; then the
      // next attempt succeeds.
      listen('window', 'offline', () => this.#link?.close()),
    ];
    void this.#connect();
  }

  get state(): Readable<ConnectionState> {
    return this.#state;
  }

  /** Connects at once, without waiting for the backoff. */
  wake(): void {
    if (this.#state.value.status === 'waiting') void this.#connect();
  }

  /**
   * Called when the link may be dead or a new attempt may succeed: after sleep, a change of network, or when a page
   * becomes visible.
   */
  check(): void {
    if (Date.now() >= this.#notBefore) this.wake();
    this.#link?.probe();
  }

  /** Fails with `unavailable` at once when not connected; `connectedWithin` waits. */
  async request<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    timeoutMs = this.#options.timeoutMs,
  ): Promise<CommandOutput<C>> {
    if (this.#link === undefined) throw disconnected();
    return (await this.#link.request(name, input, timeoutMs)) as CommandOutput<C>;
  }

  /** Closes the link and stays `connecting` until `resume`. */
  suspend(): void {
    if (this.#state.value.status === 'closed') return;
    this.#suspended = true;
    this.#clear();
    this.#state.set({ status: 'connecting', attempt: 0 });
  }

  resume(): void {
    if (this.#suspended && this.#state.value.status !== 'closed') void this.#connect();
  }

  close(error?: ParleyError): void {
    if (this.#state.value.status === 'closed') return;
    for (const stop of this.#stops) stop();
    this.#clear();
    this.#state.set({ status: 'closed', ...(error && { error }) });
  }

  /** After this there is no attempt under way, and no link. */
  #clear(): void {
    this.#life += 1;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#drainTimer);
    this.#token.stop();
    const link = this.#link;
    this.#link = undefined;
    link?.close();
  }

  async #connect(): Promise<void> {
    this.#suspended = false;
    this.#clear();
    const life = this.#life;
    this.#state.set({ status: 'connecting', attempt: this.#attempt, ...(this.#error && { error: this.#error }) });
    let token: string;
    try {
      token = await this.#token.take();
      const taken = Date.now();
      if (life === this.#life) await this.#options.admit(token);
      if (life === this.#life && Date.now() - taken > freshMs) token = await this.#token.take();
    } catch (thrown) {
      if (life !== this.#life) return;
      const error = asParleyError(thrown);
      const final = error.code === 'unauthorized' || error.code === 'token_expired' || error.code === 'forbidden';
      if (final) this.close(error);
      else this.#wait(error);
      return;
    }
    if (life !== this.#life) return;
    if (token === this.#revoked) return this.close(new ParleyError('session_revoked'));
    try {
      this.#link = new Link(
        this.#options.WebSocket,
        socketUrl(this.#options.url),
        { token, device: this.#options.device },
        this.#options.timeoutMs,
        {
          ready: (ready) => this.#live(ready),
          event: (name, data) => this.#event(name, data),
          ended: (end) => life === this.#life && this.#lost(end),
        },
      );
    } catch (thrown) {
      // A malformed address, or ws: from an https: page: every later attempt would fail in the same way.
      this.close(new ParleyError('invalid', asParleyError(thrown).message, { cause: thrown }));
    }
  }

  #live(ready: EventData<'ready'>): void {
    this.#liveSince = Date.now();
    this.#refusals = 0;
    this.#error = undefined;
    this.#token.refreshBefore(ready.expires);
    this.#handlers.ready(ready);
    // The handler may have closed or suspended the connection.
    if (this.#state.value.status === 'connecting') this.#state.set({ status: 'connected' });
  }

  #event(name: string, data: unknown): void {
    if (name === 'drain') this.#drain(data);
    else this.#handlers.event(name, data);
  }

  /**
   * The server goes down and gives each client its own moment to leave. Clients that leave together come back together.
   */
  #drain(data: unknown): void {
    const after = isObject(data) && typeof data['after'] === 'number' ? data['after'] : 0;
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#link?.close(), after);
  }

  #lost(end: LinkEnd): void {
    this.#clear();
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

  /** A refused token is worth one more attempt, with the application's next token. */
  #mayHelpToRenew({ code }: ParleyError): boolean {
    this.#refusals += 1;
    return (code === 'token_expired' || code === 'unauthorized') && this.#token.renewable && this.#refusals === 1;
  }

  #wait(error: ParleyError | undefined): void {
    const delay = delayBefore(
      this.#attempt,
      reconnectBackoff,
      error?.code === 'unauthorized' ? nextTokenMs : error?.retryAfter,
    );
    this.#attempt += 1;
    this.#error = error;
    this.#notBefore = error?.retryAfter === undefined ? 0 : Date.now() + delay;
    this.#retryTimer = setTimeout(() => void this.#connect(), delay);
    const until = Date.now() + delay;
    this.#state.set({ status: 'waiting', until, attempt: this.#attempt, ...(error && { error }) });
  }
}

export function connectedWithin(state: Readable<ConnectionState>, withinMs: number): Promise<void> {
  return new Promise((resolve, reject: (error: ParleyError) => void) => {
    const check = (now: ConnectionState): void => {
      if (now.status === 'connected') done(resolve);
      if (now.status === 'closed') done(() => reject(now.error ?? disconnected('The client was closed.')));
    };
    const timer = setTimeout(() => done(() => reject(disconnected())), withinMs);
    const stop = state.subscribe(check);
    const done = (then: () => void): void => {
      clearTimeout(timer);
      stop();
      then();
    };
    check(state.value);
  });
}

function socketUrl(base: string): string {
  const url = new URL(base);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  url.pathname = `${url.pathname.replace(/\/$/, '')}/socket.io/`;
  url.search = '?EIO=4&transport=websocket';
  url.hash = '';
  return url.href;
}
