/**
 * One connection for all tabs of a user at a server. The tab that holds a Web Lock leads: it has the connection, passes
 * events on and carries out the requests of the others. The browser gives the lock to the next tab when the leader is
 * closed or crashes. A follower steals the lock from a leader that does not answer.
 *
 * alone    no tabs to share with here (Node, an insecure origin, an unknown user): as leading, without followers
 * waiting ── lock granted ──▶ leading ── hidden (freeze, pagehide), lock stolen ──▶ waiting
 *    └── a leader announces itself ──▶ following ── leader gone, another announces itself ──▶ following
 *                               └── lock granted ──▶ leading
 *
 * For its client a change of leaders is like a lost connection. Requests in flight fail with `unavailable`, `ready` comes
 * again, and a catch-up by rev brings the missed events.
 */
import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import type { ParleyError } from '../protocol/errors.ts';
import { Connection } from './connection.ts';
import type { ConnectionState } from './connection.ts';
import { asParleyError, disconnected, fromWire } from './failure.ts';
import type { OutboxNews } from './outbox.ts';
import { InFlight } from './in-flight.ts';
import { listen, sharing } from './page.ts';
import type { Channel } from './page.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { subjectOf } from './token.ts';
import { uuid } from './uuid.ts';
import { Watches } from './watches.ts';
import { encodeTabMessage, revived } from './tab-messages.ts';
import type { AddressedMessage, TabMessage } from './tab-messages.ts';
import type { TabsHandlers, TabsOptions } from './tabs-options.ts';

/** A follower checks a leader after this time without a message. A leader without an answer loses the lead. */
const quietMs = 5000;
const patienceMs = 3000;
const checkMs = 10_000;

export class Tabs {
  /** A new id for each time that this tab takes part. */
  #id = uuid();
  readonly #options: TabsOptions;
  readonly #handlers: TabsHandlers;
  readonly #connection: Connection;
  readonly #state = new Cell<ConnectionState>({ status: 'connecting', attempt: 0 });
  readonly #shared: ReturnType<typeof sharing>;
  readonly #stops: (() => void)[];
  #identity: Promise<void> | undefined;
  #channel: Channel | undefined;
  #name = '';
  #leading = false;
  /** Releases the lock, or the place in its queue. */
  #release: (() => void) | undefined;
  #admit: (() => void) | undefined;
  #leave: (() => void) | undefined;
  // Leading
  readonly #followers = new Set<string>();
  readonly #watches = new Watches(
    (users) => void this.#connection.request('presence:unwatch', { users }).catch(() => undefined),
  );
  // Following
  #leader: string | undefined;
  #ready = false;
  #leaderSeenAt = 0;
  #checking = false;
  readonly #inFlight = new InFlight();
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TabsOptions, handlers: TabsHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#shared = options.share ? sharing() : undefined;
    this.#connection = new Connection(
      { ...options, admit: (token) => this.#admitted(token) },
      {
        ready: (ready) => handlers.ready(ready),
        event: (name, data) => {
          if (this.#followers.size > 0) this.#post({ kind: 'event', name, data });
          handlers.event(name, data);
        },
      },
    );
    this.#connection.state.subscribe((state) => this.#ownState(state));
    this.#stops = [
      // A frozen page, or one in the back-forward cache, runs no script: another tab must take the connection.
      listen('window', 'pagehide', () => this.#stepBack()),
      listen('document', 'freeze', () => this.#stepBack()),
      listen('window', 'pageshow', () => this.#connection.resume()),
      listen('document', 'resume', () => this.#connection.resume()),
      listen('document', 'visibilitychange', () => {
        this.#checkLeader();
        this.wake('check');
      }),
    ];
    if (this.#shared !== undefined) {
      const timer = setInterval(() => this.#checkLeader(), checkMs);
      this.#stops.push(() => clearInterval(timer));
    }
    if (options.user !== undefined) void this.#identify(options.user);
  }

  get state(): Readable<ConnectionState> {
    return this.#state;
  }

  /** Whether this tab has the connection. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Fails with `unavailable` at once when not connected. */
  request<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    timeoutMs = this.#options.timeoutMs,
  ): Promise<CommandOutput<C>> {
    if (this.#leader === undefined) return this.#carryOut(this.#id, name, input, timeoutMs);
    this.#checkLeader();
    // The leader has the same time limit, and mostly reports the failure itself.
    return this.#inFlight.add(timeoutMs + patienceMs, (id) => {
      if (!this.#ready) throw disconnected();
      this.#post({ kind: 'request', id, name, input: input as never, timeoutMs }, this.#leader);
    }) as Promise<CommandOutput<C>>;
  }

  /** @param kind the action of the connection, in whichever tab it is */
  wake(kind: 'wake' | 'check' = 'wake'): void {
    if (this.#leader === undefined) this.#connection[kind]();
    else this.#post({ kind }, this.#leader);
  }

  /** The list of rooms is complete: sends the heads to the followers that wait for them. */
  present(): void {
    const ready = this.#followers.size > 0 ? this.#handlers.present() : undefined;
    if (this.#leading && ready !== undefined) this.#post({ kind: 'ready', ready });
  }

  publish(news: OutboxNews): void {
    this.#post({ kind: 'outbox', news });
  }

  close(error?: ParleyError): void {
    // Runs before the state changes: a closed connection must not report the end of the other tabs' connection.
    this.#stepBack();
    for (const stop of this.#stops) stop();
    this.#connection.close(error);
    this.#channel?.close();
    this.#channel = undefined;
  }

  // Leadership

  /** Resolves when this tab may have a connection. */
  async #admitted(token: string): Promise<void> {
    await this.#identify(this.#options.user ?? subjectOf(token));
    if (this.#shared === undefined || this.#name === '') this.#leading = true;
    if (this.#leading) return;
    await new Promise<void>((resolve) => {
      this.#admit = resolve;
      this.#enter();
    });
  }

  /**
   * Holds a lock of its own while it takes part; the leader waits for that lock and so notices the end of this tab. The
   * lock must be held before the first message: a leader that gets it first would take this tab for closed.
   */
  #enter(): void {
    this.#leave?.();
    const id = (this.#id = uuid());
    const left = new Promise<void>((resolve) => (this.#leave = resolve));
    const entered = (): Promise<void> => {
      if (this.#id === id && this.#admit !== undefined) this.#queue();
      return left;
    };
    this.#shared?.locks.request(`${this.#name} ${id}`, {}, entered).catch(() => undefined);
  }

  #identify(user: string | undefined): Promise<void> {
    this.#identity ??= this.#handlers.identified(user);
    if (user !== undefined && this.#shared !== undefined && this.#name === '') {
      this.#name = `parley ${this.#options.url} ${user}`;
      this.#channel = this.#shared.channel(this.#name);
      this.#channel.addEventListener('message', ({ data }) =>
        this.#receive(JSON.parse(String(data)) as AddressedMessage),
      );
    }
    return this.#identity;
  }

  /** Enters the queue for the lock; meanwhile this tab follows the leader. */
  #queue(steal = false): void {
    this.#release?.();
    const place = new AbortController();
    const held = new Promise<void>((resolve) => {
      this.#release = () => {
        this.#release = undefined;
        resolve();
        place.abort();
      };
    });
    const granted = (): Promise<void> => {
      if (!place.signal.aborted) this.#lead();
      return held;
    };
    const lost = (): void => {
      if (!place.signal.aborted) this.#deposed();
    };
    // The promise rejects for a stolen lock and for a place in the queue that was given up.
    this.#shared?.locks.request(this.#name, steal ? { steal } : { signal: place.signal }, granted).catch(lost);
    this.#post({ kind: 'who' });
    if (!steal) this.#checkLeader();
  }

  #lead(): void {
    this.#unfollow();
    this.#leading = true;
    this.#post({ kind: 'leader' });
    this.#admit?.();
    this.#admit = undefined;
  }

  /** Another tab took the lock, because this one did not answer. */
  #deposed(): void {
    this.#stepBack();
    this.#connection.resume();
  }

  /** Ends leading and following. */
  #stepBack(): void {
    if (this.#state.value.status === 'closed') return;
    this.#post({ kind: 'bye' });
    this.#release?.();
    this.#leave?.();
    this.#unfollow();
    this.#admit = undefined;
    this.#leading = false;
    this.#followers.clear();
    this.#watches.clear();
    this.#connection.suspend();
    this.#state.set({ status: 'connecting', attempt: 0 });
  }

  #follow(leader: string): void {
    if (this.#leading || this.#release === undefined) return;
    this.#unfollow();
    this.#leader = leader;
    this.#post({ kind: 'hello' }, leader);
  }

  #unfollow(): void {
    this.#leader = undefined;
    this.#interrupted({ status: 'connecting', attempt: 0 });
  }

  /** Sends a ping to a leader without a recent message, also to one that never sent any. */
  #checkLeader(): void {
    if (
      this.#admit === undefined ||
      this.#release === undefined ||
      this.#checking ||
      Date.now() - this.#leaderSeenAt < quietMs
    )
      return;
    this.#checking = true;
    const started = Date.now();
    this.#post({ kind: 'ping' });
    setTimeout(() => {
      this.#checking = false;
      if (this.#admit !== undefined && this.#release !== undefined && this.#leaderSeenAt < started) this.#queue(true);
    }, patienceMs);
  }

  // Messages

  #post(message: TabMessage, to?: string): void {
    this.#channel?.postMessage(encodeTabMessage({ ...message, from: this.#id, to }));
  }

  #receive(message: AddressedMessage): void {
    if (message.to !== undefined && message.to !== this.#id) return;
    if (message.kind === 'outbox') this.#handlers.outbox(message.news);
    else if (message.kind === 'leader') this.#follow(message.from);
    else if (this.#leading) this.#fromFollower(message);
    if (message.from !== this.#leader) return;
    this.#leaderSeenAt = Date.now();
    this.#fromLeader(message);
  }

  #fromFollower(message: AddressedMessage): void {
    const { from } = message;
    switch (message.kind) {
      case 'who':
        return this.#post({ kind: 'leader' }, from);
      case 'ping':
        return this.#post({ kind: 'pong' }, from);
      case 'wake':
      case 'check':
        return this.#connection[message.kind]();
      case 'hello':
        return this.#welcome(from);
      case 'bye':
        return this.#forget(from);
      case 'request':
        this.#carryOut(from, message.name, message.input, message.timeoutMs).then(
          (output) => this.#post({ kind: 'answer', id: message.id, output }, from),
          (thrown: unknown) =>
            this.#post({ kind: 'answer', id: message.id, error: asParleyError(thrown).toWire() }, from),
        );
        return;
      // Messages from leaders, and messages that are handled already.
      case 'leader':
      case 'outbox':
      case 'pong':
      case 'state':
      case 'ready':
      case 'event':
      case 'answer':
    }
  }

  #fromLeader(message: AddressedMessage): void {
    switch (message.kind) {
      case 'bye':
        return this.#unfollow();
      case 'state':
        return this.#interrupted(revived(message.state));
      case 'ready':
        this.#ready = true;
        this.#handlers.ready(message.ready);
        if (this.#state.value.status !== 'closed') this.#state.set({ status: 'connected' });
        return;
      case 'event':
        if (this.#ready) this.#handlers.event(message.name, message.data);
        return;
      case 'answer':
        return this.#inFlight.settle(message.id, message.output, message.error && fromWire(message.error));
      // Messages from followers, and messages that are handled already.
      case 'leader':
      case 'outbox':
      case 'pong':
      case 'who':
      case 'hello':
      case 'ping':
      case 'wake':
      case 'check':
      case 'request':
    }
  }

  // Leading

  #ownState(state: ConnectionState): void {
    if (state.status === 'closed') this.#stepBack();
    else if (this.#leading && state.status !== 'connected') this.#post({ kind: 'state', state });
    if (this.#leader === undefined || state.status === 'closed') this.#state.set(state);
  }

  #welcome(tab: string): void {
    if (!this.#followers.has(tab)) {
      this.#followers.add(tab);
      void this.#shared?.locks
        .request(`${this.#name} ${tab}`, {}, async () => this.#forget(tab))
        .catch(() => undefined);
    }
    const { value: state } = this.#connection.state;
    const ready = state.status === 'connected' ? this.#handlers.present() : undefined;
    const pending = state.status === 'connected' ? ({ status: 'connecting', attempt: 0 } as const) : state;
    this.#post(ready === undefined ? { kind: 'state', state: pending } : { kind: 'ready', ready }, tab);
  }

  #forget(tab: string): void {
    if (this.#followers.delete(tab)) this.#watches.forget(tab);
  }

  async #carryOut<C extends CommandName>(
    tab: string,
    name: C,
    input: CommandInput<C>,
    timeoutMs: number,
  ): Promise<CommandOutput<C>> {
    const own = this.#watches.passed(tab, name, input);
    return own === undefined ? ({} as CommandOutput<C>) : this.#connection.request(name, own, timeoutMs);
  }

  // Following

  #interrupted(state: ConnectionState): void {
    this.#ready = false;
    this.#inFlight.fail();
    this.#state.set(state);
    clearTimeout(this.#wakeTimer);
    // The timers of a hidden page may be a minute late. The timers of the visible page are not.
    if (state.status === 'waiting') this.#wakeTimer = setTimeout(() => this.wake(), state.until - Date.now() + 250);
  }
}
