/** Two nodes and more over Redis. */
import { randomBytes } from 'node:crypto';
import { Packr } from 'msgpackr';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import {
  codecVersion,
  decodeEnvelopes,
  encodeEnvelopes,
  nodeIdBytes,
  originOf,
} from '../../src/fanout/envelope-codec.ts';
import type { Envelope, RoomEvent } from '../../src/fanout/fanout.ts';
import { partOf } from '../../src/fanout/partition.ts';
import { RedisFanout } from '../../src/fanout/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { Random } from '../hostile/fuzz/random.ts';
import { silentLog } from '../support/messaging.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startRedis } from '../support/services.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

let prefix = '';
beforeEach(() => {
  prefix = `test-${randomBytes(6).toString('hex')}:`;
});

interface Node {
  readonly fanout: RedisFanout;
  readonly link: RedisLink;
  readonly calls: Envelope[][];
  /** Epochs of this node at which it was given an envelope of another one. */
  readonly others: readonly string[];
  /** Revs of the room as they came. */
  revs(room: string): (number | undefined)[];
  count(series: string): Promise<number>;
}

interface NodeOptions {
  readonly url?: string;
  readonly partitions?: number;
  readonly maxUnansweredBytes?: number;
  readonly installation?: { id: string; epoch: string };
  readonly log?: Log;
}

const theOnly = { id: crypto.randomUUID(), epoch: crypto.randomUUID() };

async function node(options: NodeOptions = {}): Promise<Node> {
  const {
    url = inject('redisUrl'),
    partitions = 1,
    maxUnansweredBytes,
    installation = theOnly,
    log = silentLog,
  } = options;
  const others: string[] = [];
  const link = await openRedis({ url, prefix, log: silentLog });
  cleanUp.push(() => link.close());
  const calls: Envelope[][] = [];
  const metrics = new Metrics();
  const fanout = new RedisFanout({
    link,
    prefix,
    partitions,
    installation,
    otherEpoch: () => void others.push(installation.epoch),
    metrics,
    log,
    ...(maxUnansweredBytes === undefined ? {} : { maxUnansweredBytes }),
  });
  fanout.listen((envelopes) => void calls.push([...envelopes]));
  cleanUp.push(() => fanout.close());
  await fanout.open();
  return {
    fanout,
    link,
    calls,
    others,
    revs: (room) => calls.flat().flatMap((one) => (one.to === 'room' && one.room === room ? [one.rev] : [])),
    async count(series) {
      const line = (await metrics.text()).split('\n').find((text) => text.startsWith(series));
      return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')));
    },
  };
}

async function proxied(target = inject('redisUrl')): Promise<Proxy> {
  const proxy = await startProxy(target);
  cleanUp.push(() => proxy.close());
  return proxy;
}

function event(room: string, rev: number, json = `{"rev":${rev}}`): RoomEvent {
  return { to: 'room', room, event: 'message', rev, json };
}

const firstRevs = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

describe('two nodes over Redis', () => {
  it('drops envelopes of another installation with the same prefix, counts them and logs that once', async () => {
    const warnings: unknown[] = [];
    const log = Object.assign(Object.create(silentLog) as Log, {
      warn: (...args: unknown[]) => void warnings.push(args),
    });
    const a = await node({ log });
    const foreign = await node({ installation: { id: crypto.randomUUID(), epoch: theOnly.epoch } });
    const peer = await node();
    foreign.fanout.publish([event('x', 1), { to: 'membership', user: 'ann', room: 'x', role: null }]);
    foreign.fanout.publish([{ to: 'user', user: 'ann', event: 'member', json: '{}' }]);
    await until(
      'three are counted',
      async () => (await a.count('parley_fanout_foreign_messages_total{reason="installation"}')) === 3,
    );
    peer.fanout.publish([event('x', 2)]);
    await until('that of a peer comes', () => a.calls.length > 0);
    expect(a.calls).toEqual([[event('x', 2)]]);
    expect(warnings).toHaveLength(1);
    expect(JSON.stringify(warnings)).toContain('PARLEY_REDIS_PREFIX');
  });

  it('takes of a node with another epoch all but revs, and asks for the epoch', async () => {
    const own = { ...theOnly };
    const [a, b] = [await node({ installation: own }), await node()];
    own.epoch = crypto.randomUUID();
    const signal: Envelope = { to: 'room', room: 'x', event: 'signal', json: '{}' };
    const left: Envelope = { to: 'membership', user: 'ann', room: 'x', role: null };
    const joined = { to: 'user', user: 'ann', event: 'member', json: '{}' } as const;
    b.fanout.publish([event('x', 160), signal]);
    b.fanout.publish([left, { ...joined, head: { room: 'x', rev: 160 } }]);
    await until('the rest is received', () => a.calls.flat().length === 3);
    expect(a.calls.flat()).toEqual(expect.arrayContaining([signal, left, joined]));
    expect(a.others).toEqual([own.epoch, own.epoch]);
    expect(await a.count('parley_fanout_foreign_messages_total{reason="epoch"}')).toBe(2);
  });

  it('the other one gets a batch in one call, in order, and each node its own only once', async () => {
    const [a, b] = [await node(), await node()];
    const batch = [event('x', 1), event('y', 1), event('x', 2)];
    const seen: Envelope[] = [];
    a.fanout.observe({ published: (envelopes) => void seen.push(...envelopes) });
    a.fanout.publish(batch);
    await until('it is received', () => b.calls.length > 0);
    expect(b.calls).toEqual([batch]);
    b.fanout.publish([event('x', 3)]);
    await until('it is received', () => a.calls.length > 1);
    // an observer gets nothing of other nodes
    expect(seen).toEqual(batch);
    expect(a.calls).toEqual([batch, [event('x', 3)]]);
    expect(b.calls).toEqual([batch, [event('x', 3)]]);
  });

  it('envelopes of all kinds come as they were, and members change between the events that they stood between', async () => {
    const [a, b] = [await node({ partitions: 4 }), await node({ partitions: 4 })];
    await b.fanout.occupied('x');
    const sent: Envelope[] = [
      { to: 'membership', user: 'ann', room: 'x', role: null },
      { to: 'user', user: 'ann', event: 'member', json: '{"a":"ä\\u0000😀"}' },
      { to: 'room', room: 'x', event: 'signal', json: '{}', attachments: [Buffer.from([0, 128, 255])], except: 's' },
      { to: 'room', room: 'x', event: 'mention', json: '{}', withheld: ['ann', 'ben'] },
      { to: 'room', room: 'x', event: 'member', json: '{}' },
      { to: 'membership', user: 'ann', room: 'x', role: 'guest' },
      { to: 'membership', user: 'ann', room: 'x', role: 'member', mutedUntil: 1_795_000_000_000 },
      { to: 'membership', user: 'ann', room: 'x', role: 'member', mutedUntil: Number.MAX_SAFE_INTEGER },
      { to: 'user', user: 'ann', event: 'member', json: '{}', head: { room: 'x', rev: 0 } },
      event('x', Number.MAX_SAFE_INTEGER),
      { to: 'closed', room: 'x', event: 'room', json: '{"ä":1}' },
    ];
    a.fanout.publish(sent);
    await until('all are received', () => b.calls.flat().length === sent.length);
    expect(b.calls.flat()).toEqual(sent);
  });

  it('a batch over a megabyte travels in several messages, in order', async () => {
    const [a, b] = [await node(), await node()];
    const batch = firstRevs(200).map((rev) => event('x', rev, `"${'ä'.repeat(8000)}"`));
    a.fanout.publish(batch);
    await until('all are received', () => b.calls.flat().length === batch.length);
    expect(b.calls.length).toBeGreaterThan(2);
    expect(b.calls.flat()).toEqual(batch);
  });

  it('both write to a room at once: each one keeps its order, though they overtake each other', async () => {
    const [a, b] = [await node(), await node()];
    for (let rev = 1; rev <= 500; rev++) (rev % 2 === 0 ? a : b).fanout.publish([event('x', rev)]);
    for (const one of [a, b]) {
      const revs = await until('all are received', () => (one.revs('x').length === 500 ? one.revs('x') : undefined));
      for (const parity of [0, 1]) {
        const own = revs.filter((rev) => (rev ?? 0) % 2 === parity);
        expect(own).toEqual(own.toSorted((x, y) => (x ?? 0) - (y ?? 0)));
      }
      expect(new Set(revs).size).toBe(500);
    }
  });
});

describe('with many partitions', () => {
  it('a node receives the rooms of its interest once `occupied` has resolved, and not those that it has left', async () => {
    const partitions = 64;
    const [a, b] = [await node({ partitions }), await node({ partitions })];
    const rooms = firstRevs(40).map((n) => `room-${n}`);
    const [mine, others] = [rooms.slice(0, 20), rooms.slice(20)];
    const wanted = new Set(mine.map((room) => partOf(room, partitions)));
    await Promise.all(mine.map((room) => b.fanout.occupied(room)));
    a.fanout.publish([...mine, ...others].map((room) => event(room, 1)));
    await until('all are received', () => mine.every((room) => b.revs(room).length === 1));
    const reachable = others.filter((room) => b.revs(room).length > 0);
    expect(reachable.every((room) => wanted.has(partOf(room, partitions)))).toBe(true);
    expect(reachable.length).toBeLessThan(others.length);

    for (const room of mine) b.fanout.vacated(room);
    const again = b.fanout.occupied('last'); // answered after the unsubscriptions
    await again;
    a.fanout.publish([...mine.map((room) => event(room, 2)), event('last', 1)]);
    await until('the last one is received', () => b.revs('last').length === 1);
    const still = mine.filter((room) => b.revs(room).length > 1);
    expect(still.every((room) => partOf(room, partitions) === partOf('last', partitions))).toBe(true);
  });

  it('leaving and coming back at once loses nothing', async () => {
    const [a, b] = [await node({ partitions: 8 }), await node({ partitions: 8 })];
    for (let rev = 1; rev <= 100; rev++) {
      const occupied = b.fanout.occupied('x');
      b.fanout.vacated('x');
      await Promise.all([occupied, b.fanout.occupied('x')]);
      a.fanout.publish([event('x', rev)]);
      await until('it is received', () => b.revs('x').length === rev);
      b.fanout.vacated('x');
    }
  });

  it('occupied rooms are received again when Redis is back, also those that became occupied meanwhile', async () => {
    const proxy = await proxied();
    const [a, b] = [await node({ partitions: 8 }), await node({ partitions: 8, url: proxy.url })];
    await b.fanout.occupied('before');
    await b.fanout.occupied('left');
    proxy.cut();
    await until('the link is down', () => !b.link.up);
    await b.fanout.occupied('meanwhile');
    b.fanout.vacated('left');
    proxy.restore();
    await until('the node is reachable', () => b.fanout.others.reachable);
    a.fanout.publish([event('before', 1), event('meanwhile', 1), event('left', 1)]);
    await until('both are received', () => b.revs('before').length + b.revs('meanwhile').length === 2);
    const shared = ['before', 'meanwhile'].some((room) => partOf(room, 8) === partOf('left', 8));
    expect(b.revs('left')).toEqual(shared ? [1] : []);
  });
});

describe('while Redis is down', () => {
  it.each(['cut', 'swallow'] as const)(
    'by %s, the node notices, delivers locally, counts, and receives again later',
    async (how) => {
      const proxy = await proxied();
      const [a, b] = [await node({ url: proxy.url }), await node()];
      const changes: boolean[] = [];
      a.fanout.others.onChange((reachable) => changes.push(reachable));
      expect(a.fanout.others.reachable).toBe(true);
      proxy[how]();
      await until('the node is unreachable', () => !a.fanout.others.reachable);
      a.fanout.publish([event('x', 1)]);
      expect(a.revs('x')).toEqual([1]);
      expect(await a.count('parley_fanout_publish_failures_total{reason="away"}')).toBe(1);
      proxy.restore();
      await until('the node is reachable', () => a.fanout.others.reachable);
      b.fanout.publish([event('x', 2)]);
      await until('it is received', () => a.revs('x').length === 2);
      a.fanout.publish([event('x', 3)]);
      await until('it is received', () => b.revs('x').includes(3));
      expect(b.revs('x')).toEqual([2, 3]);
      expect(changes).toEqual([false, true]);
    },
  );

  it('because it was killed, nodes meet again in the one that is started in its place', async () => {
    const first = await startRedis();
    const proxy = await proxied(first.url);
    const [a, b] = [await node({ url: proxy.url, partitions: 4 }), await node({ url: proxy.url, partitions: 4 })];
    await b.fanout.occupied('x');
    a.fanout.publish([event('x', 1)]);
    await until('it is received', () => b.revs('x').length === 1);
    await first.stop();
    await until('both nodes are unreachable', () => !a.fanout.others.reachable && !b.fanout.others.reachable);
    const second = await startRedis();
    cleanUp.push(() => second.stop());
    proxy.retarget(second.url);
    await until('both nodes are reachable', () => a.fanout.others.reachable && b.fanout.others.reachable);
    a.fanout.publish([event('x', 2)]);
    await until('it is received', () => b.revs('x').length === 2);
  });

  it('or refuses a channel, the node reports that it is unreachable', async () => {
    const { commands } = (await node()).link;
    const user = prefix.replace(':', '');
    await commands.call('ACL', 'SETUSER', user, 'on', 'nopass', '~*', '+@all', 'resetchannels', `&${prefix}ping:*`);
    cleanUp.push(() => commands.call('ACL', 'DELUSER', user));
    const url = new URL(inject('redisUrl'));
    url.username = user;
    url.password = 'any';
    const a = await node({ url: url.href });
    expect(a.fanout.others.reachable).toBe(false);
    await until('the link says why', () => a.link.problem?.includes('NOPERM') === true);
    await commands.call('ACL', 'SETUSER', user, `&${prefix}*`);
    await until('the node is reachable', () => a.fanout.others.reachable);
  });

  it('or slow, at most the limit of bytes waits on the way to it', async () => {
    const proxy = await proxied();
    const dropped: string[] = [];
    const write = (line: string): void => {
      if (line.includes('"reason":"full"') && line.includes('Dropped a message')) dropped.push(line);
    };
    const log: Log = pino({ level: 'debug' }, { write });
    const a = await node({ url: proxy.url, maxUnansweredBytes: 10_000, log });
    proxy.swallow();
    for (let rev = 1; rev <= 20; rev++) a.fanout.publish([event('x', rev, `"${'x'.repeat(1000)}"`)]);
    const failures = await a.count('parley_fanout_publish_failures_total{reason="full"}');
    expect(failures).toBeGreaterThanOrEqual(10);
    expect(dropped).toHaveLength(failures);
    expect(a.revs('x')).toHaveLength(20);
  });
});

describe('an invalid message', () => {
  const packr = new Packr({ useRecords: false, int64AsType: 'number' });
  const sender = originOf(randomBytes(nodeIdBytes), theOnly.id, theOnly.epoch);
  const message = (rows: unknown, version = codecVersion): Buffer =>
    Buffer.concat([Buffer.from([version]), sender, packr.pack(rows)]);

  it.each([
    ['empty', Buffer.alloc(0), 'malformed'],
    ['a text', Buffer.from('hello, is this a chat server?'), 'version'],
    ['a header alone', Buffer.concat([Buffer.from([codecVersion]), sender]), 'malformed'],
    ['cut short', message([[0, 'x', 'message', '{}', 1]]).subarray(0, 30), 'malformed'],
    ['no array', message({ to: 'room' }), 'malformed'],
    ['rows that are none', message([1, null]), 'malformed'],
    ['a kind that is none', message([[9, 'x']]), 'malformed'],
    ['a rev that is none', message([[0, 'x', 'message', '{}', -1]]), 'malformed'],
    ['a room that is none', message([[0, { toString: 1 }, 'message', '{}', 1]]), 'malformed'],
    ['attachments that are none', message([[0, 'x', 'signal', '{}', 0, '', ['text']]]), 'malformed'],
    ['withheld users that are none', message([[0, 'x', 'mention', '{}', 0, '', [], [7]]]), 'malformed'],
    ['an event that is no JSON', message([[0, 'x', 'message', '{"a":', 1]]), 'malformed'],
    ['an event that is no text of JSON', message([[0, 'x', 'message', '1],["x"', 1]]), 'malformed'],
    ['an event with a name that would end it', message([[0, 'x', 'a",1]', '{}', 1]]), 'malformed'],
    ['a signal that is no JSON', message([[0, 'x', 'signal', '{', 0, 'me', []]]), 'malformed'],
    [
      'a signal with a placeholder of no attachment',
      message([[0, 'x', 'signal', '{"data":{"_placeholder":true,"num":1}}', 0, '', [new Uint8Array(1)]]]),
      'malformed',
    ],
    [
      'a signal with too many attachments',
      message([[0, 'x', 'signal', '{}', 0, '', Array.from({ length: 11 }, () => new Uint8Array(1))]]),
      'malformed',
    ],
    ['an event to a user that is no JSON', message([[1, 'ann', 'member', 'x']]), 'malformed'],
    ['the end of a room that is no JSON', message([[3, 'x', 'room:deleted', '{}}']]), 'malformed'],
    ['a role that is none', message([[2, 'ann', 'x', 'king']]), 'malformed'],
    ['the end of a mute that is none', message([[2, 'ann', 'x', 'member', 'late']]), 'malformed'],
    ['the end of a room that is none', message([[3, 'x', 'room', 7]]), 'malformed'],
    ['a head that is none', message([[1, 'ann', 'member', '{}', 'x', 'y']]), 'malformed'],
    ['of a later version', message([[0, 'x', 'message', '{}', 1]], codecVersion + 1), 'version'],
  ])('(%s) is counted and harms nobody', async (_name, bytes, reason) => {
    const [a, b] = [await node(), await node()];
    await b.link.commands.publish(`${prefix}room:0`, bytes);
    await b.link.commands.publish(`${prefix}user`, bytes);
    b.fanout.publish([event('x', 1)]);
    await until('the next one is received', () => a.revs('x').length === 1);
    expect(a.calls).toEqual([[event('x', 1)]]);
    expect(await a.count(`parley_fanout_foreign_messages_total{reason="${reason}"}`)).toBe(2);
  });

  it('at random never throws', () => {
    const good = encodeEnvelopes(sender, [
      event('x', 1),
      { to: 'user', user: 'ann', event: 'e', json: '{}' },
      { to: 'membership', user: 'ann', room: 'x', role: 'admin', mutedUntil: 5 },
      { to: 'closed', room: 'x', event: 'room', json: '{}' },
    ])[0] as Buffer;
    const random = new Random(1);
    for (let i = 0; i < 5000; i++) {
      const bytes = Buffer.from(good);
      for (let flips = 1 + (i % 3); flips > 0; flips--) bytes[random.int(bytes.length)] = random.int(256);
      decodeEnvelopes(bytes);
    }
  });
});
