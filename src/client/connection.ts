/**
 * The connection that outlives its sockets.
 *
 * connecting ── ready ──▶ connected ── lost ──▶ waiting ── time, `online`, wake() ──▶ connecting
 *      └── failed ──▶ waiting                      any ── close(), refused for good ──▶ closed
 *
 * `closed` carries an error when the server will not have us; nothing but a new client leaves it. While `admit` does not
 * let it in (another tab has the connection), and after `suspend`, it is `connecting`.
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
import { TokenKeeper } from './token.ts';
import type { TokenSource } from './token.ts';
import { isObject } from './wire.ts';

export type ConnectionState =
  /** `error`: why the try before failed, as in `waiting`. */
  | { readonly status: 'connecting'; readonly attempt: number; readonly error?: ParleyError }
  | { readonly status: 'connected' }
  /** `until`: when the next try starts, as of `Date.now()`. */
  | { readonly status: 'waiting'; readonly until: number; readonly attempt: number; readonly error?: ParleyError }
  | { readonly status: 'closed'; readonly error?: ParleyError };

export interface ConnectionOptions {
  readonly url: string;
  readonly token: TokenSource;
  readonly WebSocket: SocketConstructor;
  readonly device: string | undefined;
  /** What a command waits for its answer, unless it says otherwise, and a link for its greeting; in ms. */
  readonly timeoutMs: number;
  /** Called with the token before each link is made; the link waits for it. */
  readonly admit: (token: string) => Promise<void>;
}

export interface ConnectionHandlers {
  /** Before the state becomes `connected`, so that who sees that state finds the rooms in place. */
  ready(ready: EventData<'ready'>): void;
  event(name: string, data: unknown): void;
}

/** A connection that lived this long had no part in the trouble: the next wait starts small again. */
const stableMs = 5000;
/** A token that waited longer than this for its link is asked for again. */
const freshMs = 10_000;
/** A token that was refused may be of the second of a revocation: the next one should be of another second. */
const nextTokenMs = 1000;
/** A clock that is looked at this often and has moved on by far more: the machine slept, and links died unnoticed. */
const lookMs = 5000;
const sleptMs = 30_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #state = new Cell<ConnectionState>({ status: 'connecting', attempt: 0 });
  readonly #token: TokenKeeper;
  #link: Link | undefined;
  #attempt = 0;
  #liveSince = 0;
  #refusals = 0;
  /** Of the last try. */
  #error: ParleyError | undefined;
  /** The token that was taken back: it is not tried again, only another one is. */
  #revoked: string | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  /** The server asked to stay away until then. */
  #notBefore = 0;
  /** Tells what belongs to an earlier try apart. */
  #life = 0;
  #suspended = false;
  readonly #stops: (() => void)[];

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#token = new TokenKeeper(options.token, options.timeoutMs, async (token) => {
      const { expires } = await this.request('auth:refresh', { token });
      return expires;
    });
    const check = (): void => this.check();
    let looked = Date.now();
    const clock = setInterval(() => {
      if (Date.now() - looked > sleptMs) this.check();
      looked = Date.now();
    }, lookMs);
    // In Node a client that is all that is left to do must not go on for its clock's sake alone: the link does that.
    (clock as { unref?: () => void }).unref?.();
    this.#stops = [
      () => clearInterval(clock),
      listen('window', 'online', check),
      // The browser knows before the heartbeat does; it may be wrong for a server on this machine, then the next try succeeds.
      listen('window', 'offline', () => this.#link?.close()),
    ];
    void this.#connect();
  }

  get state(): Readable<ConnectionState> {
    return this.#state;
  }

  /** Tries again at once instead of waiting on. */
  wake(): void {
    if (this.#state.value.status === 'waiting') void this.#connect();
  }

  /** Something happened after which the link may be dead, or another try worth it: sleep, another network, a page is looked at. */
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

  /** Lets the link go and stays `connecting` until `resume`. */
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

  /** No try is under way after this, and no link. */
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
      // A malformed address, or ws: from an https: page: the next try would be refused in the same way.
      this.close(new ParleyError('invalid', asParleyError(thrown).message, { cause: thrown }));
    }
  }

  #live(ready: EventData<'ready'>): void {
    this.#liveSince = Date.now();
    this.#refusals = 0;
    this.#error = undefined;
    this.#token.refreshBefore(ready.expires);
    this.#handlers.ready(ready);
    // Unless it was not what was hoped for.
    if (this.#state.value.status === 'connecting') this.#state.set({ status: 'connected' });
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

  /** A token that is refused is worth one more try, with the one the application gives next. */
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
    const look = (now: ConnectionState): void => {
      if (now.status === 'connected') done(resolve);
      if (now.status === 'closed') done(() => reject(now.error ?? disconnected('The client was closed.')));
    };
    const timer = setTimeout(() => done(() => reject(disconnected())), withinMs);
    const stop = state.subscribe(look);
    const done = (then: () => void): void => {
      clearTimeout(timer);
      stop();
      then();
    };
    look(state.value);
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
