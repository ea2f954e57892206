/**
 * What waits to be sent. Each entry has its UUID from the start, and the server stores a UUID once, so an entry is
 * simply sent again until somebody acknowledges it; nothing is asked twice, nothing is lost over a reconnect.
 *
 * sending ── ack ──▶ sent ── the room holds it ──▶ (gone)
 *    └── refused for good ──▶ failed ── retry() ──▶ sending        failed ── discard() ──▶ (gone)
 *
 * Order: one entry a room is in flight, the next leaves after its ack. Pipelining would be faster, but a refusal that
 * may be retried (rate, overload) of the first would let the second overtake it.
 */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Message } from '../protocol/model.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { asParleyError } from './failure.ts';
import { Cell } from './store.ts';
import type { Store } from './store.ts';
import { uuid } from './uuid.ts';

export type SendInput = CommandInput<'message:send'>;
export type SendResult = CommandOutput<'message:send'>;
export type SendOptions = Pick<SendInput, 'replyTo' | 'lane'>;

export interface Outgoing {
  readonly input: SendInput;
  /** When it was written, by this device's clock. */
  readonly at: number;
  readonly state: 'sending' | 'sent' | 'failed';
  readonly error?: ParleyError;
  /** The server's answer, once `sent`. */
  readonly result?: SendResult;
}

/** Where entries outlive the page. Both are called synchronously; what they throw is ignored. */
export interface OutboxStorage {
  load(): readonly Pick<Outgoing, 'input' | 'at'>[];
  save(entries: readonly Pick<Outgoing, 'input' | 'at'>[]): void;
}

interface Entry {
  outgoing: Outgoing;
  /** Answers of the server that asked to try again. */
  refusals: number;
  readonly settle: { resolve(result: SendResult): void; reject(error: ParleyError): void } | undefined;
}

export const outboxLimit = 500;
/** A server that says "later" this often will not take it; the user is told and may retry. */
const maxRefusals = 8;

export class Outbox {
  readonly #transmit: (input: SendInput) => Promise<SendResult>;
  readonly #storage: OutboxStorage | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #view = new Cell<readonly Outgoing[]>([]);
  /** Rooms with an entry in flight, or with one that waits before its next attempt: then its timer. */
  readonly #busy = new Map<string, ReturnType<typeof setTimeout> | undefined>();
  #online = false;

  /** @param transmit sends one; fails with `unavailable` where the connection went */
  constructor(transmit: (input: SendInput) => Promise<SendResult>, storage?: OutboxStorage) {
    this.#transmit = transmit;
    this.#storage = storage;
    for (const { input, at } of this.#stored()) this.#add({ input, at, state: 'sending' }, undefined);
    this.#show();
  }

  /** All entries, in the order they were written. */
  get entries(): Store<readonly Outgoing[]> {
    return this.#view;
  }

  send(room: string, body: unknown, options: SendOptions = {}): Promise<SendResult> {
    const sent = new Promise<SendResult>((resolve, reject: (error: ParleyError) => void) => {
      const refusal = this.#refusal(body);
      if (refusal !== undefined) return reject(refusal);
      const input = { ...options, room, id: uuid(), body };
      this.#add({ input, at: Date.now(), state: 'sending' }, { resolve, reject });
      this.#show();
      this.#pump(room);
    });
    // The entry shows a failure; a caller who does not wait for the promise must not get an unhandled rejection.
    sent.catch(() => undefined);
    return sent;
  }

  retry(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.outgoing.state !== 'failed') return;
    // To the end: what was written after it has been sent meanwhile.
    this.#entries.delete(id);
    const { input } = entry.outgoing;
    this.#add({ input, at: Date.now(), state: 'sending' }, undefined);
    this.#show();
    this.#pump(input.room);
  }

  discard(id: string): void {
    if (this.#entries.get(id)?.outgoing.state === 'failed') this.#remove(id);
  }

  /** The connection is there: everything unacknowledged leaves again. */
  resume(): void {
    this.#online = true;
    for (const room of new Set(this.#view.value.map((outgoing) => outgoing.input.room))) this.#pump(room);
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

  /** The room holds these messages: an entry of the same id is the same message, acknowledged or not. */
  delivered(messages: readonly Message[]): void {
    if (this.#entries.size === 0) return;
    for (const { id, seq, rev, at } of messages) {
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      entry.settle?.resolve({ seq, rev, at });
      this.#remove(id);
    }
  }

  /** Drops what the room's list already covers, also where the message itself lies in front of the loaded part. */
  covered(room: string, cursor: number): void {
    for (const { outgoing } of this.#entries.values()) {
      if (outgoing.input.room === room && outgoing.result !== undefined && outgoing.result.rev <= cursor) {
        this.#remove(outgoing.input.id);
      }
    }
  }

  #refusal(body: unknown): ParleyError | undefined {
    if (this.#entries.size >= outboxLimit)
      return new ParleyError('limit_reached', 'Too many messages wait to be sent.');
    const json = JSON.stringify(body) as string | undefined;
    if (json === undefined || json === 'null') return new ParleyError('invalid', 'A message needs a body.');
    if (new TextEncoder().encode(json).length > limits.bodyBytes) return new ParleyError('too_large');
    return undefined;
  }

  #add(outgoing: Outgoing, settle: Entry['settle']): void {
    this.#entries.set(outgoing.input.id, { outgoing, refusals: 0, settle });
  }

  #pump(room: string): void {
    if (!this.#online || this.#busy.has(room)) return;
    const next = [...this.#entries.values()].find(
      ({ outgoing }) => outgoing.input.room === room && outgoing.state === 'sending',
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
      const result = await this.#transmit(input);
      entry.settle?.resolve(result);
      if (this.#entries.get(input.id) === entry) this.#update(entry, { ...entry.outgoing, state: 'sent', result });
      return 0;
    } catch (thrown) {
      const error = asParleyError(thrown);
      // A reconnect meanwhile pumps again by itself, and the loss of a connection is no refusal.
      if (!this.#online) return 0;
      // A server that goes down answers so until this connection moves on to the next one.
      if (error.code !== 'draining') entry.refusals += 1;
      if (error.retryable && entry.refusals < maxRefusals) {
        return Math.max(1, delayBefore(entry.refusals, resendBackoff, error.retryAfter));
      }
      entry.settle?.reject(error);
      if (this.#entries.get(input.id) === entry) this.#update(entry, { ...entry.outgoing, state: 'failed', error });
      return 0;
    }
  }

  #update(entry: Entry, outgoing: Outgoing): void {
    entry.outgoing = outgoing;
    this.#show();
  }

  #remove(id: string): void {
    this.#entries.delete(id);
    this.#show();
  }

  #show(): void {
    const all = Array.from(this.#entries.values(), (entry) => entry.outgoing);
    this.#view.set(all);
    try {
      // What failed waits for its author, what is sent is the server's: neither must leave by itself after a reload.
      this.#storage?.save(all.filter((outgoing) => outgoing.state === 'sending'));
    } catch {
      // A full or forbidden storage costs the survival over a reload, nothing else.
    }
  }

  #stored(): ReturnType<OutboxStorage['load']> {
    try {
      return this.#storage?.load() ?? [];
    } catch {
      return [];
    }
  }
}
