/** The threads that a user follows, where answers and events cross. */
import { expect, it, onTestFinished } from 'vitest';
import { followedThreads } from '../../src/client/threads.ts';
import { until } from '../support/until.ts';
import { FakeServer } from './fake-server.ts';

it('a reply that comes while the list is loaded stays unread', async () => {
  const server = await FakeServer.start();
  onTestFinished(() => server.stop());
  const at = 1_796_000_000_000;
  const reply = (seq: number) => ({
    room: 'r',
    seq,
    id: `m${seq}`,
    from: 'ben',
    name: 'Ben',
    at,
    body: { text: 'x' },
    rev: seq,
  });
  const threadOf = (replies: number, rev: number) => ({ root: 1, replies, last: replies + 1, by: 'ben', at, rev });
  const entry = (replies: number, rev: number, read: number, unread: number) => ({
    room: 'r',
    root: reply(1),
    thread: threadOf(replies, rev),
    read,
    unread,
  });
  let loads = 0;
  server.handlers = {
    'thread:list': (_input: never, to) => {
      loads += 1;
      // the second answer is made before the reply, and arrives after its event
      if (loads === 2) to.event('message', { ...reply(4), thread: threadOf(3, 4) });
      const threads = loads === 1 ? [entry(2, 3, 2, 1)] : loads === 2 ? [entry(2, 3, 3, 0)] : [entry(3, 4, 3, 1)];
      return { threads, before: null, more: false };
    },
  };
  const client = server.connect();
  const followed = followedThreads(client);
  onTestFinished(() => followed.close());
  await until('the first list is there', () => followed.get('r', 1)?.unread === 1);
  (await server.session(0)).event('thread', { room: 'r', root: 1, following: true, read: 3 });
  await until('the list is loaded again', () => loads >= 2);
  await until(
    'the reply is unread',
    () => followed.get('r', 1)?.thread.replies === 3 && followed.get('r', 1)?.unread === 1,
    5000,
  );
  expect(loads).toBe(3);
});
