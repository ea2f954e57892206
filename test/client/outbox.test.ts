import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ParleyError } from '../../src/protocol/errors.ts';
import { Archive } from '../../src/client/archive.ts';
import { Outbox, outboxLimit } from '../../src/client/outbox.ts';
import type { OutboxNews, SendInput, SendResult } from '../../src/client/outbox.ts';
import { memoryStore } from '../../src/client/store.ts';
import type { Store as Storage } from '../../src/client/store.ts';

/** A server that stores a UUID once, and answers as the test says. */
class Store {
  readonly stored: SendInput[] = [];
  readonly attempts: string[] = [];
  /** The results of the next attempts; later ones succeed. `lost`: stored, but the ack never comes. */
  readonly fate: (ParleyError | 'lost')[] = [];

  transmit = async (input: SendInput): Promise<SendResult> => {
    this.attempts.push(String(input.body));
    const fate = this.fate.shift();
    await Promise.resolve();
    if (fate instanceof ParleyError) throw fate;
    if (!this.stored.some(({ id }) => id === input.id)) this.stored.push(input);
    if (fate === 'lost') throw new ParleyError('unavailable');
    const seq = 1 + this.stored.findIndex(({ id }) => id === input.id);
    return { seq, rev: seq, at: 0 };
  };
}

/** @param publish sends a change to the other tabs */
function outboxOf(
  server: Store,
  storage: Storage = memoryStore(),
  publish: (news: OutboxNews) => void = () => undefined,
) {
  const archive = new Archive(storage);
  archive.open('');
  return new Outbox({ transmit: server.transmit, archive, publish, sent: () => undefined });
}
const bodies = (store: Store): unknown[] => store.stored.map(({ body }) => body);
const states = (outbox: Outbox): string[] =>
  outbox.entries.value.map(({ input, state }) => `${String(input.body)} ${state}`);

let store: Store;
let outbox: Outbox;
beforeEach(() => {
  vi.useFakeTimers();
  store = new Store();
  outbox = outboxOf(store);
});
afterEach(() => {
  outbox.stop();
  vi.useRealTimers();
});

describe('the outbox', () => {
  it('queues while offline and sends in order when there is a connection', async () => {
    for (const body of ['a', 'b', 'c']) void outbox.send('r', body);
    expect(states(outbox)).toEqual(['a sending', 'b sending', 'c sending']);
    expect(store.attempts).toEqual([]);
    outbox.resume();
    await vi.runAllTimersAsync();
    expect(bodies(store)).toEqual(['a', 'b', 'c']);
    expect(states(outbox)).toEqual(['a sent', 'b sent', 'c sent']);
  });

  it('sends again under the same id when the ack was lost, and the message is there once', async () => {
    store.fate.push('lost');
    outbox.resume();
    const sent = outbox.send('r', 'a');
    await vi.runAllTimersAsync();
    expect(await sent).toEqual({ seq: 1, rev: 1, at: 0 });
    expect(store.attempts).toEqual(['a', 'a']);
    expect(bodies(store)).toEqual(['a']);
  });

  it('keeps the order of a room when its first message has to wait', async () => {
    store.fate.push(new ParleyError('rate_limited', undefined, { retryAfter: 2000 }));
    outbox.resume();
    void outbox.send('r', 'first');
    void outbox.send('r', 'second');
    await vi.advanceTimersByTimeAsync(1900);
    void outbox.send('r', 'third');
    await vi.advanceTimersByTimeAsync(50);
    expect(store.attempts).toEqual(['first']);
    await vi.runAllTimersAsync();
    expect(bodies(store)).toEqual(['first', 'second', 'third']);
  });

  it('lets other rooms go on while one waits', async () => {
    store.fate.push(new ParleyError('overloaded'));
    outbox.resume();
    void outbox.send('slow', 'a');
    void outbox.send('quick', 'b');
    await vi.advanceTimersByTimeAsync(0);
    expect(bodies(store)).toEqual(['b']);
  });

  it('marks a refusal as failed, goes on with the next, and sends it on retry', async () => {
    store.fate.push(new ParleyError('not_member'));
    outbox.resume();
    const refused = expect(outbox.send('r', 'a')).rejects.toMatchObject({ code: 'not_member' });
    void outbox.send('r', 'b');
    await vi.runAllTimersAsync();
    await refused;
    expect(states(outbox)).toEqual(['a failed', 'b sent']);
    outbox.retry(outbox.entries.value[0]?.input.id ?? '');
    await vi.runAllTimersAsync();
    expect(bodies(store)).toEqual(['b', 'a']);
  });

  it('gives up on a server that always says later', async () => {
    for (let i = 0; i < 8; i += 1) store.fate.push(new ParleyError('overloaded'));
    outbox.resume();
    const refused = expect(outbox.send('r', 'a')).rejects.toMatchObject({ code: 'overloaded' });
    await vi.runAllTimersAsync();
    await refused;
    expect(states(outbox)).toEqual(['a failed']);
  });

  it('does not count a lost connection against a message', async () => {
    for (let round = 0; round < 20; round += 1) {
      store.fate.push(new ParleyError('unavailable'));
      if (round === 0) void outbox.send('r', 'a');
      outbox.resume();
      outbox.pause();
      await vi.advanceTimersByTimeAsync(0);
    }
    outbox.resume();
    await vi.runAllTimersAsync();
    expect(states(outbox)).toEqual(['a sent']);
  });

  it('forgets an entry when the room has the message, even before its ack', async () => {
    const sent = outbox.send('r', 'a');
    const id = outbox.entries.value[0]?.input.id ?? '';
    outbox.delivered([{ room: 'r', seq: 4, rev: 5, id, from: 'u', name: null, body: 'a', at: 6 }]);
    expect(await sent).toEqual({ seq: 4, rev: 5, at: 6 });
    expect(outbox.entries.value).toEqual([]);
  });

  it('forgets sent entries that the room has passed', async () => {
    outbox.resume();
    void outbox.send('r', 'a');
    void outbox.send('r', 'b');
    await vi.runAllTimersAsync();
    outbox.covered('r', 1);
    expect(states(outbox)).toEqual(['b sent']);
  });

  it('refuses one past its bound', async () => {
    for (let i = 0; i < outboxLimit; i += 1) void outbox.send('r', 'x');
    await expect(outbox.send('r', 'y')).rejects.toMatchObject({ code: 'limit_reached' });
    expect(outbox.entries.value).toHaveLength(outboxLimit);
  });

  it('refuses a body that the server would refuse', async () => {
    await expect(outbox.send('r', 'ä'.repeat(8192))).rejects.toMatchObject({ code: 'too_large' });
    await expect(outbox.send('r', null)).rejects.toMatchObject({ code: 'invalid' });
    await expect(outbox.send('r', undefined)).rejects.toMatchObject({ code: 'invalid' });
    expect(outbox.entries.value).toEqual([]);
  });

  it('keeps unsent messages over a restart, under the same ids', async () => {
    const storage = memoryStore();
    const before = outboxOf(store, storage);
    store.fate.push('lost');
    before.resume();
    void before.send('r', 'a');
    before.pause();
    for (const body of ['b', 'c', 'd']) void before.send('r', body);
    await vi.runAllTimersAsync();
    const after = outboxOf(store, storage);
    // Written before the store answered: it comes after what was stored.
    void after.send('r', 'e');
    await after.restore();
    after.resume();
    await vi.runAllTimersAsync();
    expect(bodies(store)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await storage.list('')).toEqual([]);
  });

  it('keeps failed messages, and does not send them by itself after a restart', async () => {
    const storage = memoryStore();
    const before = outboxOf(store, storage);
    store.fate.push(new ParleyError('not_member'));
    before.resume();
    void before.send('r', 'a');
    await vi.runAllTimersAsync();
    const after = outboxOf(store, storage);
    await after.restore();
    after.resume();
    await vi.runAllTimersAsync();
    expect(states(after)).toEqual(['a failed']);
    expect(after.entries.value[0]?.error).toMatchObject({ name: 'ParleyError', code: 'not_member' });
    after.discard(after.entries.value[0]?.input.id ?? '');
    await vi.runAllTimersAsync();
    expect(await storage.list('')).toEqual([]);
  });

  it('does not give up a message for an unavailable database', async () => {
    for (let i = 0; i < 20; i += 1) store.fate.push(new ParleyError('unavailable'));
    outbox.resume();
    void outbox.send('r', 'a');
    await vi.runAllTimersAsync();
    expect(states(outbox)).toEqual(['a sent']);
  });

  it('sends a copy of the body, so that later changes by the caller have no effect', async () => {
    const body = { text: 'before' };
    void outbox.send('r', body);
    body.text = 'after';
    outbox.resume();
    await vi.runAllTimersAsync();
    expect(store.stored[0]?.body).toEqual({ text: 'before' });
  });
});

describe('two outboxes that share a connection', () => {
  let here: Outbox;
  let there: Outbox;
  let cut: boolean;
  beforeEach(() => {
    cut = false;
    const news = (to: () => Outbox) => (one: OutboxNews) => {
      // As between tabs: as text.
      if (!cut) to().learn(JSON.parse(JSON.stringify(one)) as OutboxNews);
    };
    here = outboxOf(
      store,
      memoryStore(),
      news(() => there),
    );
    there = outboxOf(
      store,
      memoryStore(),
      news(() => here),
    );
  });

  it('send each message once, by the one that leads, and both see the result', async () => {
    here.resume();
    store.fate.push(new ParleyError('not_member'));
    const refused = expect(there.send('r', 'a')).rejects.toMatchObject({ code: 'not_member' });
    const sent = there.send('r', 'b');
    await vi.runAllTimersAsync();
    await refused;
    expect(await sent).toMatchObject({ seq: 1 });
    expect(store.attempts).toEqual(['a', 'b']);
    for (const one of [here, there]) expect(states(one)).toEqual(['a failed', 'b sent']);
    there.retry(there.entries.value[0]?.input.id ?? '');
    await vi.runAllTimersAsync();
    expect(store.attempts).toEqual(['a', 'b', 'a']);
    for (const one of [here, there]) expect(states(one)).toEqual(['b sent', 'a sent']);
  });

  it('lose nothing when the lead changes, also entries that the new leader did not receive', async () => {
    cut = true;
    void there.send('r', 'a');
    void there.send('r', 'b');
    cut = false;
    here.resume();
    there.publishUnsent();
    await vi.runAllTimersAsync();
    expect(bodies(store)).toEqual(['a', 'b']);
    for (const one of [here, there]) expect(states(one)).toEqual(['a sent', 'b sent']);
  });

  it('discard together', async () => {
    store.fate.push(new ParleyError('not_member'));
    here.resume();
    void there.send('r', 'a');
    await vi.runAllTimersAsync();
    there.discard(there.entries.value[0]?.input.id ?? '');
    for (const one of [here, there]) expect(states(one)).toEqual([]);
  });
});
