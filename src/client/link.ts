/**
 * One WebSocket, from its opening to its end; a `Connection` goes through many of them.
 *
 * opening ── `0` open ──▶ greeting (CONNECT sent) ── `ready` ──▶ live ── any end ──▶ ended
 *
 * A link ends once, for one reason. The server refused it, one side closed it, the server was silent past its heartbeat, or
 * the link was not live in time. Events are passed on from `greeting` on, because the server subscribes a
 * connection to its rooms before it sends `ready`.
 */
import type { CommandName, CommandInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { disconnected, fromWire } from './failure.ts';
import { InFlight } from './in-flight.ts';
import { bytesOf, decode, disconnect, encodeCommand, encodeConnect, isObject, pong } from './wire.ts';
import type { Greeting, Packet } from './wire.ts';

/** The part of the browser's WebSocket that the client uses; `ws` has it too. */
export interface Socket {
  readonly readyState: number;
  send(text: string): void;
  close(): void;
  // `object`: the events of the browser and of `ws` have no narrower type in common.
  addEventListener(type: 'message' | 'close' | 'error', listener: (event: object) => void): void;
}
export type SocketConstructor = new (url: string) => Socket;

export interface LinkEnd {
  /** The reason, if the server gave one. */
  readonly error?: ParleyError;
  /** The server refused the CONNECT: another try with the same token gets the same answer, unless it is retryable. */
  readonly refused: boolean;
}

export interface LinkHandlers {
  ready(ready: EventData<'ready'>): void;
  event(name: string, data: unknown): void;
  ended(end: LinkEnd): void;
}

/** A link without any frame for this time after a probe is dead. */
const probeMs = 4000;
const open = 1;

export class Link {
  readonly #socket: Socket;
  readonly #handlers: LinkHandlers;
  readonly #greeting: Greeting;
  readonly #inFlight = new InFlight();
  #phase: 'opening' | 'greeting' | 'live' | 'ended' = 'opening';
  #silenceMs = 0;
  #maxPayload = Infinity;
  #receivedAt = 0;
  #watchdog: ReturnType<typeof setTimeout>;

  /** @param liveWithinMs the time limit for becoming live */
  constructor(
    Socket: SocketConstructor,
    url: string,
    greeting: Greeting,
    liveWithinMs: number,
    handlers: LinkHandlers,
  ) {
    this.#handlers = handlers;
    this.#greeting = greeting;
    this.#socket = new Socket(url);
    this.#watchdog = setTimeout(() => this.#end(), liveWithinMs);
    this.#socket.addEventListener('message', (event) => {
      if ('data' in event && typeof event.data === 'string') this.#receive(event.data);
    });
    this.#socket.addEventListener('close', (event) => this.#end({ refused: false, ...why(event) }));
    // An error is always followed by a close; without a listener `ws` would throw it.
    this.#socket.addEventListener('error', () => undefined);
  }

  /** Sends a command and waits for its ack. Fails with `unavailable` if the link ends or no ack comes in time. */
  request<C extends CommandName>(name: C, input: CommandInput<C>, timeoutMs: number): Promise<unknown> {
    return this.#inFlight.add(timeoutMs, (id) => {
      if (this.#phase !== 'live' || this.#socket.readyState !== open) throw disconnected();
      const frame = encodeCommand(id, name, input);
      // The server ends a connection over a frame that is too long. A queued message of that size would end every later
      // connection.
      if (bytesOf(frame) > this.#maxPayload) throw new ParleyError('too_large');
      this.#socket.send(frame);
    });
  }

  /** Sends a command of no effect and ends the link if no frame follows. */
  probe(): void {
    if (this.#phase !== 'live') return;
    const sentAt = Date.now();
    const over = (): void => {
      if (this.#receivedAt < sentAt) this.#end();
    };
    // Any frame is a sign of life, also a refusal.
    this.request('presence:get', { users: [] }, probeMs).then(over, over);
  }

  /** Closes the link from this side. */
  close(): void {
    if (this.#socket.readyState === open) this.#socket.send(disconnect);
    this.#end();
  }

  #receive(frame: string): void {
    if (this.#phase === 'ended') return;
    this.#receivedAt = Date.now();
    // Starts with `ready`: a server that sends pings but no greeting is not available.
    if (this.#phase === 'live') this.#watch();
    this.#handle(decode(frame));
  }

  #handle(packet: Packet): void {
    switch (packet.kind) {
      case 'open':
        this.#silenceMs = packet.pingInterval + packet.pingTimeout;
        this.#maxPayload = packet.maxPayload;
        this.#phase = 'greeting';
        this.#socket.send(encodeConnect(this.#greeting));
        return;
      case 'ping':
        this.#socket.send(pong);
        return;
      case 'refused':
        this.#end({ refused: true, error: fromWire({ message: packet.message, ...packet.error }) });
        return;
      case 'close':
        this.#end();
        return;
      case 'event':
        if (packet.name === 'ready') this.#becomeLive(packet.data as EventData<'ready'>);
        else this.#handlers.event(packet.name, packet.data);
        return;
      case 'ack':
        this.#settle(packet.id, packet.answer);
        return;
      case 'connected':
      case 'unknown':
        return;
    }
  }

  #becomeLive(ready: EventData<'ready'>): void {
    this.#phase = 'live';
    this.#watch();
    this.#handlers.ready(ready);
  }

  #settle(id: number, answer: unknown): void {
    const { ok, error, ...output } = isObject(answer) ? answer : {};
    this.#inFlight.settle(id, output, ok === true ? undefined : fromWire((error ?? {}) as Partial<WireError>));
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#end(), this.#silenceMs);
  }

  #end(end: LinkEnd = { refused: false }): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    clearTimeout(this.#watchdog);
    this.#socket.close();
    this.#inFlight.fail();
    this.#handlers.ended(end);
  }
}

/** The error that a close code of the catalogue stands for. */
function why(event: object): { error?: ParleyError } {
  if (!('code' in event)) return {};
  if (event.code === 4403) return { error: new ParleyError('session_revoked') };
  if (event.code === 4402) return { error: new ParleyError('token_expired') };
  if (event.code === 4429) return { error: new ParleyError('rate_limited', undefined, { retryAfter: 5000 }) };
  return {};
}
