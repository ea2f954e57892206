/**
 * A random history of one room: sends, replies, edits, deletions, reactions and pins by several users, many at once. One user
 * reads the room in four ways. One is a connection throughout, and one an SDK whose socket is torn now and then, with three
 * threads. The others are `sync` alone from time to time, and `history` in the end. All four must be the same room. In the
 * end its threads, pins and mentions follow from the messages.
 */
import { expect } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { openThread, type Thread as OpenThread } from '../../src/client/threads.ts';
import type { CommandOutput } from '../../src/protocol/commands.ts';
import type { EventData } from '../../src/protocol/events.ts';
import type { Message, Thread } from '../../src/protocol/model.ts';
import { Random } from '../hostile/fuzz/random.ts';
import { connectStock, type StockClient } from '../support/stock-client.ts';
import { tearable } from '../support/tearable.ts';
import { until } from '../support/until.ts';

export interface HistoryPlan {
  readonly seed: number;
  readonly sends: number;
  readonly edits: number;
  readonly deletions: number;
  readonly reactions: number;
  readonly replies: number;
  readonly pins: number;
  /** Commands under way at once. */
  readonly atOnce: number;
}

export const historyEnv = {
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMAND_BURST: '1000000',
  PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '100000',
};

type Kind = 'send' | 'edit' | 'delete' | 'react' | 'reply' | 'pin';
const emoji = ['👍', '❤️', '😂', '🎉', '🇨🇭', '👩‍❤️‍💋‍👨'];
const users = ['h-owner', 'h-admin', 'h-one', 'h-two', 'h-watcher'];
const watcher = 'h-watcher';
const ordered: ReadonlySet<string> = new Set(['message', 'message:updated', 'message:deleted', 'reaction', 'pin']);
const maxThreads = 3;
let rooms = 0;

export async function playHistory(
  url: string,
  tokenOf: (user: string) => Promise<string>,
  plan: HistoryPlan,
): Promise<{ revs: number; tears: number; syncs: number; ms: number }> {
  const from = performance.now();
  const room = `history-${++rooms}`;
  const random = new Random(plan.seed);
  const people = await Promise.all(users.map(async (user) => connectStock(url, await tokenOf(user))));
  const watching = people[users.indexOf(watcher)] as StockClient;
  await (people[0] as StockClient).ok('room:create', { kind: 'group', name: room, id: room });
  for (const [i, user] of users.entries()) {
    if (i > 0) await (people[0] as StockClient).ok('room:invite', { room, user, role: i === 1 ? 'admin' : 'member' });
  }
  const net = tearable();
  const torn = connect({ url, token: () => tokenOf(watcher), WebSocket: net.Constructor });
  const flaky = torn.room(room);
  await until('the torn client is there', () => flaky.state.value.status === 'ready');

  const puller = new Puller(watching, room, random);
  const left = shuffledKinds(plan, random);
  const threads: OpenThread[] = [];
  const sent: { seq: number; by: number }[] = [];
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let kind = left.pop(); kind !== undefined; kind = left.pop()) {
      await act(kind, people, room, sent, random);
      done++;
      if (random.chance(0.015)) net.tear();
      if (torn.state.value.status === 'waiting' && random.chance(0.3)) torn.wake();
      if (random.chance(0.03)) await puller.pull();
      if (random.chance(0.05) && threads.length < maxThreads) {
        const { thread } = random.pick(flaky.state.value.messages) ?? {};
        if (thread !== undefined) threads.push(openThread(torn, room, thread.root));
      }
    }
  };
  await Promise.all(Array.from({ length: plan.atOnce }, worker));
  expect(done).toBe(plan.sends + plan.edits + plan.deletions + plan.reactions + plan.replies + plan.pins);

  const { messages, rev: head } = await wholeHistory(watching, room);
  const published = await until('the connected one has received all events', () => {
    const found = eventsOf(watching, room);
    return found.at(-1)?.rev === head ? found : undefined;
  });
  expect(published.map(({ rev }) => rev)).toEqual(Array.from({ length: head }, (_, n) => n + 1));
  expect(fold(published)).toEqual(messages);
  await puller.pull(true);
  expect(puller.messages()).toEqual(messages);
  await expectHistory(watching, room, messages);
  torn.wake();
  await until('the torn one has caught up', () => flaky.cursor === head && flaky.state.value.status === 'ready');
  while (flaky.state.value.hasOlder) await flaky.loadOlder();
  expect(flaky.state.value.messages).toEqual(messages);
  for (const thread of threads) {
    await until('its thread too', () => thread.cursor === head && thread.state.value.status === 'ready');
    while (thread.state.value.hasOlder) await thread.loadOlder();
    const { root, messages: replies } = thread.state.value;
    expect(root).toEqual(messages[thread.root - 1]);
    expect(replies).toEqual(messages.filter(({ seq, thread: of }) => of?.root === thread.root && seq !== thread.root));
    thread.close();
  }
  const tears = net.count() - 1;
  torn.close();
  for (const person of people) person.close();
  return { revs: head, tears, syncs: puller.pulls, ms: Math.round(performance.now() - from) };
}

function shuffledKinds(plan: HistoryPlan, random: Random): Kind[] {
  const kinds: Kind[] = [
    ...Array.from({ length: plan.sends }, (): Kind => 'send'),
    ...Array.from({ length: plan.edits }, (): Kind => 'edit'),
    ...Array.from({ length: plan.deletions }, (): Kind => 'delete'),
    ...Array.from({ length: plan.reactions }, (): Kind => 'react'),
    ...Array.from({ length: plan.replies }, (): Kind => 'reply'),
    ...Array.from({ length: plan.pins }, (): Kind => 'pin'),
  ];
  for (let i = kinds.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [kinds[i], kinds[j]] = [kinds[j] as Kind, kinds[i] as Kind];
  }
  return kinds;
}

/** Mostly what one may do; what is refused must be refused for one of these reasons. */
async function act(
  kind: Kind,
  people: readonly StockClient[],
  room: string,
  sent: { seq: number; by: number }[],
  random: Random,
): Promise<void> {
  const by = random.int(people.length);
  const who = people[by] as StockClient;
  const target =
    sent.length === 0
      ? undefined
      : random.chance(0.5)
        ? sent.at(-1 - random.int(Math.min(sent.length, 5)))
        : random.pick(sent);
  const text = random.chance(0.2) ? `@${random.pick(users)} and @${random.pick(users)}.` : String(random.int(3));
  if (kind === 'send' || kind === 'reply' || target === undefined) {
    const replyTo = kind === 'reply' && target !== undefined ? { replyTo: target.seq } : {};
    const { seq } = await who.ok('message:send', { room, id: crypto.randomUUID(), body: { text }, ...replyTo });
    sent.push({ seq, by });
    return;
  }
  const { seq } = target;
  const author = random.chance(0.8) ? (people[target.by] as StockClient) : who;
  try {
    if (kind === 'edit') await author.ok('message:edit', { room, seq, body: { text, edited: true } });
    else if (kind === 'delete') await author.ok('message:delete', { room, seq });
    else if (kind === 'pin') {
      const name = random.chance(0.6) ? 'message:pin' : 'message:unpin';
      await (people[random.int(2)] as StockClient).ok(name, { room, seq });
    } else {
      const name = random.chance(0.65) ? 'reaction:add' : 'reaction:remove';
      await who.ok(name, { room, seq, emoji: random.pick(emoji) });
    }
  } catch (error) {
    expect(String(error)).toMatch(/: (forbidden|not_found|limit_reached):/);
  }
}

/** Comes now and then with its cursor, takes pages of odd sizes, and receives nothing in between. */
class Puller {
  readonly #client: StockClient;
  readonly #room: string;
  readonly #random: Random;
  readonly #held = new Map<number, Message>();
  #rev = 0;
  #pulling = false;
  pulls = 0;

  constructor(client: StockClient, room: string, random: Random) {
    this.#client = client;
    this.#room = room;
    this.#random = random;
  }

  async pull(toTheEnd = false): Promise<void> {
    if (this.#pulling) return;
    this.#pulling = true;
    // it may stop half-way, and goes on from its cursor the next time
    for (let more = true; more && (toTheEnd || this.#random.chance(0.8));) {
      const limit = 1 + this.#random.int(40);
      const bytes = this.#random.chance(0.3) ? 1024 : 1024 * 1024;
      const { rooms: found } = await this.#client.ok('sync', { cursors: { [this.#room]: this.#rev }, limit, bytes });
      const page = found[this.#room];
      if (page === undefined || page.reset === true) throw new Error('sync does not know the room');
      expect(page.messages.map(({ rev }) => rev)).toEqual(
        page.messages.map(({ rev }) => rev).toSorted((a, b) => a - b),
      );
      for (const message of page.messages) this.#held.set(message.seq, message);
      ({ more } = page);
      this.#rev = page.rev;
      this.pulls++;
    }
    this.#pulling = false;
  }

  messages(): Message[] {
    return withThreads([...this.#held.values()].sort((a, b) => a.seq - b.seq));
  }
}

/** The thread state with the highest rev is true, for the root and for all replies. */
function withThreads(messages: readonly Message[]): Message[] {
  const states = new Map<number, Thread>();
  for (const { thread } of messages) {
    if (thread !== undefined && (states.get(thread.root)?.rev ?? 0) < thread.rev) states.set(thread.root, thread);
  }
  return messages.map((message) => {
    const thread = states.get(message.thread?.root ?? message.seq);
    return thread === undefined ? message : { ...message, thread };
  });
}

/** The lists that are kept beside the messages say the same as they do. */
async function expectHistory(client: StockClient, room: string, messages: readonly Message[]): Promise<void> {
  const roots = new Map<number, number>();
  for (const { seq, replyTo } of messages) if (replyTo !== undefined) roots.set(seq, roots.get(replyTo) ?? replyTo);
  for (const root of new Set(roots.values())) {
    const replies = messages.filter(({ seq }) => roots.get(seq) === root);
    const { thread } = messages[root - 1] as Message;
    expect(thread).toMatchObject({
      root,
      replies: replies.filter(({ body }) => body !== null).length,
      lastReplyAt: replies.at(-1)?.at,
      repliers: [...new Set(replies.toReversed().map(({ from }) => from))].slice(0, 5),
    });
    const published: Message[] = [];
    for (let after = 0, more = true; more; after = published.at(-1)?.seq ?? after) {
      const page = await client.ok('thread:history', { room, root, after, limit: 100 });
      expect(page.root).toEqual(messages[root - 1]);
      published.push(...page.messages);
      ({ more } = page);
    }
    expect(published).toEqual(replies);
  }
  expect(messages.filter(({ seq, thread }) => thread !== undefined && !roots.has(seq)).map(({ seq }) => seq)).toEqual(
    [...new Set(roots.values())].sort((a, b) => a - b),
  );
  const pinned = (await client.ok('room:pins', { room })).messages.sort((a, b) => a.seq - b.seq);
  expect(pinned).toEqual(messages.filter(({ pinnedAt }) => pinnedAt !== undefined));
  const mentioning: number[] = [];
  for (let before: string | null = null, more = true; more;) {
    const page: CommandOutput<'mentions'> = await client.ok('mentions', {
      limit: 100,
      ...(before === null ? {} : { before }),
    });
    mentioning.push(...page.mentions.flatMap(({ message }) => (message.room === room ? [message.seq] : [])));
    ({ before, more } = page);
  }
  const expected = messages.filter(
    ({ from, body }) => from !== watcher && (body as { text: string } | null)?.text.includes(`@${watcher}`) === true,
  );
  expect(mentioning.sort((a, b) => a - b)).toEqual(expected.map(({ seq }) => seq));
}

type Published =
  | { name: 'message' | 'message:updated'; rev: number; data: Message }
  | { name: 'message:deleted'; rev: number; data: EventData<'message:deleted'> }
  | { name: 'reaction'; rev: number; data: EventData<'reaction'> }
  | { name: 'pin'; rev: number; data: EventData<'pin'> };

function eventsOf(client: StockClient, room: string): Published[] {
  return client.events
    .filter(({ name, data }) => ordered.has(name) && (data as { room: string }).room === room)
    .map(({ name, data }) => ({ name, rev: (data as { rev: number }).rev, data }) as Published);
}

/** The content of a room by its events, as a reader of docs/protocol.md would write it. */
function fold(published: readonly Published[]): Message[] {
  const held = new Map<number, Message>();
  for (const event of published) {
    const { seq, rev } = event.data;
    const before = held.get(seq);
    if (event.name === 'message') held.set(seq, event.data);
    else if (before === undefined) throw new Error(`a change of ${seq} before the message`);
    else if (event.name === 'message:updated') {
      const mine = before.reactions;
      expect(event.data.pinnedAt).toBe(before.pinnedAt);
      expect(event.data.reactions?.map(({ emoji: e, count }) => `${e} ${count}`)).toEqual(
        mine?.map(({ emoji: e, count }) => `${e} ${count}`),
      );
      held.set(seq, { ...event.data, ...(mine === undefined ? {} : { reactions: mine }) });
    } else if (event.name === 'message:deleted') {
      const { reactions: _, pinnedAt: __, pinnedBy: ___, thread: was, ...rest } = before;
      const thread = event.data.thread ?? was;
      held.set(seq, {
        ...rest,
        rev,
        body: null,
        deletedAt: event.data.at,
        ...(thread === undefined ? {} : { thread }),
      });
    } else if (event.name === 'pin') {
      const { pinnedAt: _, pinnedBy: __, ...rest } = before;
      const { change, at, user } = event.data;
      held.set(seq, { ...rest, rev, ...(change === 'add' ? { pinnedAt: at, pinnedBy: user } : {}) });
    } else {
      held.set(seq, reacted(before, event.data as EventData<'reaction'>));
    }
  }
  return withThreads([...held.values()].sort((a, b) => a.seq - b.seq));
}

function reacted(message: Message, { rev, user, emoji: which, change, count }: EventData<'reaction'>): Message {
  const { reactions = [], ...rest } = message;
  const known = reactions.find((one) => one.emoji === which);
  expect(count).toBe((known?.count ?? 0) + (change === 'add' ? 1 : -1));
  const mine = user === watcher ? change === 'add' : (known?.mine ?? false);
  const now = { emoji: which, count, mine };
  const next = known === undefined ? [...reactions, now] : reactions.map((one) => (one === known ? now : one));
  const some = next.filter((one) => one.count > 0);
  return { ...rest, rev, ...(some.length === 0 ? {} : { reactions: some }) };
}

async function wholeHistory(client: StockClient, room: string): Promise<{ messages: Message[]; rev: number }> {
  const messages: Message[] = [];
  for (let before: number | undefined; ;) {
    const page = await client.ok('history', before === undefined ? { room, limit: 100 } : { room, before, limit: 100 });
    messages.unshift(...page.messages);
    if (!page.more || page.before === null) return { messages, rev: page.rev };
    before = page.before;
  }
}
