/**
 * One connection for all tabs of a user at a server. The tab that holds a Web Lock leads: it has the connection, passes
 * events on and carries out what the others ask. The browser gives the lock to the next tab when the leader is closed or
 * crashes. From a leader that answers nothing it is taken.
 *
 * alone    no tabs to share with here (Node, an insecure origin, a user nobody knows): as leading, with nobody to tell
 * waiting ── lock granted ──▶ leading ── hidden away (freeze, pagehide), lock stolen ──▶ waiting
 *    └── a leader speaks ──▶ following ── leader gone, another speaks ──▶ following
 *                               └── lock granted ──▶ leading
 *
 * To its client a change of leaders looks like a lost connection: requests on their way fail with `unavailable`, `ready`
 * comes anew, and what was missed in between is caught up by rev.
 */
import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { Connection } from './connection.ts';
import type { ConnectionHandlers, ConnectionOptions, ConnectionState } from './connection.ts';
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

export interface TabsOptions extends Omit<ConnectionOptions, 'admit'> {
  readonly user: string | undefined;
  readonly share: boolean;
}

export interface TabsHandlers extends ConnectionHandlers {
  /** Whose client it is, before anything is sent; undefined: the token does not say. The link waits for it. */
  identified(user: string | undefined): Promise<void>;
  /** What another tab did to the outbox. */
  outbox(news: OutboxNews): void;
  /** For a tab that comes later: where the rooms stand now. */
  present(): EventData<'ready'> | undefined;
}

/** What tabs say to each other, as JSON. `to`: for one of them; what a leader says counts if it comes from one's own. */
type Note =
  | { kind: 'leader' }
  | { kind: 'outbox'; news: OutboxNews }
  // to the leader
  | { kind: 'who' | 'hello' | 'bye' | 'ping' | 'wake' | 'check' }
  | { kind: 'request'; id: number; name: CommandName; input: never; timeoutMs: number }
  // from the leader, who says `bye` too
  | { kind: 'pong' }
  | { kind: 'state'; state: ConnectionState }
  | { kind: 'ready'; ready: EventData<'ready'> }
  | { kind: 'event'; name: string; data: unknown }
  | { kind: 'answer'; id: number; output?: unknown; error?: WireError };
type Sent = Note & { from: string; to?: string };

/** A leader that was not heard for so long is asked whether it is there; one that does not answer has lost the lead. */
const quietMs = 5000;
const patienceMs = 3000;
const lookMs = 10_000;

export class Tabs {
  /** Another one each time this tab takes part anew. */
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
  /** Gives back the lock, or the place in its queue. */
  #release: (() => void) | undefined;
  #admit: (() => void) | undefined;
  #leave: (() => void) | undefined;
  // leading
  readonly #followers = new Set<string>();
  readonly #watches = new Watches(
    (users) => void this.#connection.request('presence:unwatch', { users }).catch(() => undefined),
  );
  // following
  #leader: string | undefined;
  #ready = false;
  #heardAt = 0;
  #asking = false;
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
      // Frozen, or kept for a way back: no script runs, so another tab must have the connection.
      listen('window', 'pagehide', () => this.#stepBack()),
      listen('document', 'freeze', () => this.#stepBack()),
      listen('window', 'pageshow', () => this.#connection.resume()),
      listen('document', 'resume', () => this.#connection.resume()),
      listen('document', 'visibilitychange', () => {
        this.#ask();
        this.wake('check');
      }),
    ];
    if (this.#shared !== undefined) {
      const timer = setInterval(() => this.#ask(), lookMs);
      this.#stops.push(() => clearInterval(timer));
    }
    if (options.user !== undefined) void this.#identify(options.user);
  }

  get state(): Readable<ConnectionState> {
    return this.#state;
  }

  /** Whether the connection is this tab's. */
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
    this.#ask();
    // The leader has the same time for it and mostly says so itself.
    return this.#inFlight.add(timeoutMs + patienceMs, (id) => {
      if (!this.#ready) throw disconnected();
      this.#post({ kind: 'request', id, name, input: input as never, timeoutMs }, this.#leader);
    }) as Promise<CommandOutput<C>>;
  }

  /** @param kind what the connection should do, whichever tab has it */
  wake(kind: 'wake' | 'check' = 'wake'): void {
    if (this.#leader === undefined) this.#connection[kind]();
    else this.#post({ kind }, this.#leader);
  }

  /** The rooms are complete: those who wait for it hear where they stand. */
  present(): void {
    const ready = this.#followers.size > 0 ? this.#handlers.present() : undefined;
    if (this.#leading && ready !== undefined) this.#post({ kind: 'ready', ready });
  }

  tell(news: OutboxNews): void {
    this.#post({ kind: 'outbox', news });
  }

  close(error?: ParleyError): void {
    // Before the state: a connection that is closed tells nobody that the others' is.
    this.#stepBack();
    for (const stop of this.#stops) stop();
    this.#connection.close(error);
    this.#channel?.close();
    this.#channel = undefined;
  }

  // Who leads

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
   * Holds a lock of its own as long as it takes part, by which a leader hears of its end. It has to be held before anything
   * is said: a leader that got it first would take this tab for gone.
   */
  #enter(): void {
    this.#leave?.();
    const id = (this.#id = uuid());
    const left = new Promise<void>((resolve) => (this.#leave = resolve));
    const entered = (): Promise<void> => {
      if (this.#id === id && this.#admit !== undefined) this.#stand();
      return left;
    };
    this.#shared?.locks.request(`${this.#name} ${id}`, {}, entered).catch(() => undefined);
  }

  #identify(user: string | undefined): Promise<void> {
    this.#identity ??= this.#handlers.identified(user);
    if (user !== undefined && this.#shared !== undefined && this.#name === '') {
      this.#name = `parley ${this.#options.url} ${user}`;
      this.#channel = this.#shared.channel(this.#name);
      this.#channel.addEventListener('message', ({ data }) => this.#hear(JSON.parse(String(data)) as Sent));
    }
    return this.#identity;
  }

  /** Into the queue for the lock; meanwhile whoever leads is followed. */
  #stand(steal = false): void {
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
    // A stolen lock is told by the rejection, and so is a place that was given up.
    this.#shared?.locks.request(this.#name, steal ? { steal } : { signal: place.signal }, granted).catch(lost);
    this.#post({ kind: 'who' });
    if (!steal) this.#ask();
  }

  #lead(): void {
    this.#unfollow();
    this.#leading = true;
    this.#post({ kind: 'leader' });
    this.#admit?.();
    this.#admit = undefined;
  }

  /** Another tab took the lock, for this one slept. */
  #deposed(): void {
    this.#stepBack();
    this.#connection.resume();
  }

  /** Neither leads nor follows any more. */
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

  /** Asks a leader that was not heard for a while, also one that never spoke, whether it is there. */
  #ask(): void {
    if (
      this.#admit === undefined ||
      this.#release === undefined ||
      this.#asking ||
      Date.now() - this.#heardAt < quietMs
    )
      return;
    this.#asking = true;
    const asked = Date.now();
    this.#post({ kind: 'ping' });
    setTimeout(() => {
      this.#asking = false;
      if (this.#admit !== undefined && this.#release !== undefined && this.#heardAt < asked) this.#stand(true);
    }, patienceMs);
  }

  // What is said

  #post(note: Note, to?: string): void {
    const sent = { ...note, from: this.#id, to };
    // As text: what cannot be cloned but can be sent to a server would throw.
    this.#channel?.postMessage(
      JSON.stringify(sent, (_, value: unknown) => (value instanceof ParleyError ? value.toWire() : value)),
    );
  }

  #hear(note: Sent): void {
    if (note.to !== undefined && note.to !== this.#id) return;
    if (note.kind === 'outbox') this.#handlers.outbox(note.news);
    else if (note.kind === 'leader') this.#follow(note.from);
    else if (this.#leading) this.#hearFollower(note);
    if (note.from !== this.#leader) return;
    this.#heardAt = Date.now();
    this.#hearLeader(note);
  }

  #hearFollower(note: Sent): void {
    const { from } = note;
    switch (note.kind) {
      case 'who':
        return this.#post({ kind: 'leader' }, from);
      case 'ping':
        return this.#post({ kind: 'pong' }, from);
      case 'wake':
      case 'check':
        return this.#connection[note.kind]();
      case 'hello':
        return this.#welcome(from);
      case 'bye':
        return this.#forget(from);
      case 'request':
        this.#carryOut(from, note.name, note.input, note.timeoutMs).then(
          (output) => this.#post({ kind: 'answer', id: note.id, output }, from),
          (thrown: unknown) => this.#post({ kind: 'answer', id: note.id, error: asParleyError(thrown).toWire() }, from),
        );
        return;
      // What leaders say, and what went elsewhere already.
      case 'leader':
      case 'outbox':
      case 'pong':
      case 'state':
      case 'ready':
      case 'event':
      case 'answer':
    }
  }

  #hearLeader(note: Sent): void {
    switch (note.kind) {
      case 'bye':
        return this.#unfollow();
      case 'state':
        return this.#interrupted(revived(note.state));
      case 'ready':
        this.#ready = true;
        this.#handlers.ready(note.ready);
        if (this.#state.value.status !== 'closed') this.#state.set({ status: 'connected' });
        return;
      case 'event':
        if (this.#ready) this.#handlers.event(note.name, note.data);
        return;
      case 'answer':
        return this.#inFlight.settle(note.id, note.output, note.error && fromWire(note.error));
      // What followers say, and what went elsewhere already.
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
    if (ready !== undefined) this.#post({ kind: 'ready', ready }, tab);
    else
      this.#post(
        { kind: 'state', state: state.status === 'connected' ? { status: 'connecting', attempt: 0 } : state },
        tab,
      );
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
    // The timers of a hidden page may be a minute late; those of the one that is looked at are not.
    if (state.status === 'waiting') this.#wakeTimer = setTimeout(() => this.wake(), state.until - Date.now() + 250);
  }
}

/** The class of an error does not come through the channel. */
function revived(state: ConnectionState): ConnectionState {
  return 'error' in state ? { ...state, error: fromWire(state.error as Partial<WireError>) } : state;
}
