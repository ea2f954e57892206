/**
 * The unsent messages. Each entry has its UUID from the start, and the server stores a UUID once. So an entry is sent
 * again until a server acknowledges it: no message is stored twice, and none is lost over a reconnect.
 *
 * sending ── ack ──▶ sent ── the room has it ──▶ (gone)
 *    └── refused for good ──▶ failed ── retry() ──▶ sending        failed ── discard() ──▶ (gone)
 *
 * Order: one entry a room is in flight, and the next one follows its ack. Pipelining would be faster, but a retryable
 * refusal (rate, overload) of the first would let the second overtake it.
 *
 * Tabs that share a connection share the outbox: each has all entries and sends its changes to the others. The tab with
 * the connection sends. A tab that takes over continues with its own entries.
 */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Message } from '../protocol/model.ts';
import type { Archive } from './archive.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { asParleyError, fromWire } from './failure.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { uuid } from './uuid.ts';
import { bytesOf } from './wire.ts';

export type SendInput = CommandInput<'message:send'>;
export type SendResult = CommandOutput<'message:send'>;
export type SendOptions = Omit<SendInput, 'room' | 'id' | 'body'>;

export interface Outgoing {
  readonly input: SendInput;
  /** The time of writing, by this device's clock. */
  readonly at: number;
  readonly state: 'sending' | 'sent' | 'failed';
  readonly error?: ParleyError;
  /** The server's answer, once `sent`. */
  readonly result?: SendResult;
}

/** An entry in the store and in messages to other tabs. */
interface Stored {
  readonly input: SendInput;
  readonly at: number;
  readonly error?: WireError;
}

/** A change of the outbox by one tab. */
export type OutboxNews =
  | { readonly put: readonly Stored[] }
  | { readonly id: string; readonly result?: SendResult; readonly error?: WireError };

export interface OutboxServices {
  /** Sends one message; fails with `unavailable` if the connection is lost. */
  readonly transmit: (input: SendInput) => Promise<SendResult>;
  readonly archive: Archive;
  /** Sends a change to the other tabs. */
  readonly publish: (news: OutboxNews) => void;
  /** Called after the ack of a message. */
  readonly sent: (room: string, rev: number) => void;
}

interface Entry {
  outgoing: Outgoing;
  /** Failed attempts, and the number of them that the server refused for the moment. */
  failures: number;
  refusals: number;
  readonly settle: { resolve(result: SendResult): void; reject(error: ParleyError): void } | undefined;
}

export const outboxLimit = 500;
/** A server that refuses this often will not accept the message. The entry becomes `failed`, and the user may retry. */
const maxRefusals = 8;

export class Outbox {
  readonly #services: OutboxServices;
  readonly #entries = new Map<string, Entry>();
  readonly #view = new Cell<readonly Outgoing[]>([]);
  /** Rooms with an entry in flight, or with one that waits before its next attempt: then its timer. */
  readonly #busy = new Map<string, ReturnType<typeof setTimeout> | undefined>();
  #online = false;
  #lastAt = 0;

  constructor(services: OutboxServices) {
    this.#services = services;
  }

  /** All entries, in the order of writing. */
  get entries(): Readable<readonly Outgoing[]> {
    return this.#view;
  }

  /** Stored entries come before entries that were written since. */
  async restore(): Promise<void> {
    const kept = ((await this.#services.archive.list('outbox/')) as Stored[]).sort((a, b) => a.at - b.at);
    const since = [...this.#entries];
    this.#entries.clear();
    for (const one of kept) this.#add(outgoing(one), undefined);
    for (const [id, entry] of since) {
      // The entry may be among the stored ones by now; this one has a caller that waits.
      this.#entries.delete(id);
      this.#entries.set(id, entry);
    }
    this.#show();
  }

  send(room: string, body: unknown, options: SendOptions = {}): Promise<SendResult> {
    const sent = new Promise<SendResult>((resolve, reject: (error: ParleyError) => void) => {
      const json = JSON.stringify(body) as string | undefined;
      const refusal = this.#refusal(json);
      if (refusal !== undefined || json === undefined) return reject(refusal ?? new ParleyError('invalid'));
      // A copy, because the caller may change the object later.
      const input = { ...options, room, id: uuid(), body: JSON.parse(json) as unknown };
      this.#write({ input, at: this.#now(), state: 'sending' }, { resolve, reject });
    });
    // The entry shows a failure. A caller that ignores the promise must not get an unhandled rejection.
    sent.catch(() => undefined);
    return sent;
  }

  retry(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.outgoing.state !== 'failed') return;
    // Moves to the end, because later messages were sent meanwhile.
    this.#entries.delete(id);
    this.#write({ input: entry.outgoing.input, at: this.#now(), state: 'sending' }, undefined);
  }

  discard(id: string): void {
    if (this.#entries.get(id)?.outgoing.state !== 'failed') return;
    this.#services.publish({ id });
    this.#remove(id);
  }

  /** This tab has the connection: all unacknowledged entries are sent again. */
  resume(): void {
    this.#online = true;
    for (const room of new Set(this.#view.value.map(({ input }) => input.room))) this.#pump(room);
  }

  pause(): void {
    this.#online = false;
    for (const [room, timer] of this.#busy) {
      if (timer === undefined) continue;
      clearTimeout(timer);
      this.#busy.delete(room);
    }
  }

  stop(): void {
    this.pause();
    for (const { settle } of this.#entries.values())
      settle?.reject(new ParleyError('unavailable', 'The client was closed.'));
  }

  /** Another tab sends from now on, and may lack some entries. */
  publishUnsent(): void {
    const put = this.#view.value.filter(({ state }) => state === 'sending').map(stored);
    if (put.length > 0) this.#services.publish({ put });
  }

  /** Applies a change by another tab. */
  learn(news: OutboxNews): void {
    if ('put' in news) return this.#learnNew(news.put);
    const entry = this.#entries.get(news.id);
    if (entry === undefined) return;
    if (news.result !== undefined) this.#sent(entry, news.result);
    else if (news.error !== undefined) this.#failed(entry, fromWire(news.error));
    else this.#remove(news.id);
  }

  /** The room has these messages: an entry of the same id is the same message, acknowledged or not. */
  delivered(messages: readonly Message[]): void {
    if (this.#entries.size === 0) return;
    for (const { id, seq, rev, at } of messages) {
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      entry.settle?.resolve({ seq, rev, at });
      this.#remove(id);
    }
  }

  /** Drops entries that the room's list covers, also if the message is in front of the loaded part. */
  covered(room: string, cursor: number): void {
    for (const { outgoing: one } of this.#entries.values()) {
      if (one.input.room === room && one.result !== undefined && one.result.rev <= cursor) this.#remove(one.input.id);
    }
  }

  #learnNew(put: readonly Stored[]): void {
    for (const one of put) {
      const held = this.#entries.get(one.input.id);
      if (held !== undefined && held.outgoing.state !== 'failed') continue;
      this.#entries.delete(one.input.id);
      this.#add(outgoing(one), held?.settle);
    }
    this.#show();
    for (const { input } of put) this.#pump(input.room);
  }

  #refusal(json: string | undefined): ParleyError | undefined {
    if (this.#entries.size >= outboxLimit) return new ParleyError('limit_reached');
    if (json === undefined || json === 'null') return new ParleyError('invalid', 'A message needs a body.');
    if (bytesOf(json) > limits.bodyBytes) return new ParleyError('too_large');
    return undefined;
  }

  /** Never returns the same time twice: the stored entries are sorted by it. */
  #now(): number {
    return (this.#lastAt = Math.max(Date.now(), this.#lastAt + 1));
  }

  #write(one: Outgoing, settle: Entry['settle']): void {
    this.#add(one, settle);
    this.#keep(one);
    this.#services.publish({ put: [stored(one)] });
    this.#show();
    this.#pump(one.input.room);
  }

  #add(one: Outgoing, settle: Entry['settle']): void {
    this.#entries.set(one.input.id, { outgoing: one, failures: 0, refusals: 0, settle });
  }

  /** A sent entry leaves the store. A failed entry stays for its author; it is not sent without a retry. */
  #keep(one: Outgoing): void {
    this.#services.archive.set(`outbox/${one.input.id}`, one.state === 'sent' ? undefined : stored(one));
  }

  #pump(room: string): void {
    if (!this.#online || this.#busy.has(room)) return;
    const next = [...this.#entries.values()].find(
      ({ outgoing: one }) => one.input.room === room && one.state === 'sending',
    );
    if (next === undefined) return;
    this.#busy.set(room, undefined);
    void this.#attempt(next).then((delay) => {
      const go = (): void => {
        this.#busy.delete(room);
        this.#pump(room);
      };
      if (delay === 0 || !this.#online) go();
      else this.#busy.set(room, setTimeout(go, delay));
    });
  }

  /** @returns how long the room should wait before its next attempt, in ms */
  async #attempt(entry: Entry): Promise<number> {
    const { input } = entry.outgoing;
    try {
      const result = await this.#services.transmit(input);
      this.#services.publish({ id: input.id, result });
      this.#sent(entry, result);
      return 0;
    } catch (thrown) {
      const error = asParleyError(thrown);
      // A reconnect sends again by itself, and a lost connection is no refusal.
      if (!this.#online) return 0;
      // These codes are no refusal of the message: the server drains, its database is unavailable, or the ack was lost.
      if (error.code !== 'draining' && error.code !== 'unavailable') entry.refusals += 1;
      if (error.retryable && entry.refusals < maxRefusals) {
        entry.failures += 1;
        return Math.max(1, delayBefore(entry.failures, resendBackoff, error.retryAfter));
      }
      this.#services.publish({ id: input.id, error: error.toWire() });
      this.#failed(entry, error);
      return 0;
    }
  }

  #sent(entry: Entry, result: SendResult): void {
    entry.settle?.resolve(result);
    this.#update(entry, { ...entry.outgoing, state: 'sent', result });
    this.#services.sent(entry.outgoing.input.room, result.rev);
  }

  #failed(entry: Entry, error: ParleyError): void {
    entry.settle?.reject(error);
    this.#update(entry, { ...entry.outgoing, state: 'failed', error });
  }

  #update(entry: Entry, one: Outgoing): void {
    if (this.#entries.get(one.input.id) !== entry) return;
    entry.outgoing = one;
    this.#keep(one);
    this.#show();
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    if (entry?.outgoing.state !== 'sent') this.#services.archive.set(`outbox/${id}`, undefined);
    this.#show();
  }

  #show(): void {
    this.#view.set(Array.from(this.#entries.values(), (entry) => entry.outgoing));
  }
}

function stored({ input, at, error }: Outgoing): Stored {
  return { input, at, ...(error && { error: error.toWire() }) };
}

function outgoing({ input, at, error }: Stored): Outgoing {
  return { input, at, ...(error ? { state: 'failed', error: fromWire(error) } : { state: 'sending' }) };
}
