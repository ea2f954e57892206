/** The debug lines of delivery: one for each event that is dropped, held or backfilled, and for each slow connection. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { expect, inject, it } from 'vitest';
import type { Envelope, RoomEvent } from '../../src/fanout/fanout.ts';
import { RedisFanout } from '../../src/fanout/redis.ts';
import { Backfiller, createGaps } from '../../src/recovery/backfiller.ts';
import { Resequencer } from '../../src/recovery/resequencer.ts';
import { openRedis } from '../../src/storage/redis.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { silentLog } from '../support/messaging.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { behind, soft, stageHub, type HubStage } from './hub.ts';

const body = '{"text":"secret"}';
const message = (rev: number, room = 'r'): RoomEvent => ({ to: 'room', room, event: 'message', rev, json: body });
const other = (event: string, room = 'r'): RoomEvent => ({ to: 'room', room, event, json: body });
const membership = (version: number): Envelope => ({
  to: 'membership',
  user: 'ann',
  room: 'r',
  role: 'member',
  version,
});
const toUser = (about: string): Envelope => ({ to: 'user', user: 'ann', event: 'member', json: body, about });

interface Lines {
  readonly log: Log;
  /** `action reason room rev` of each line since the last call. */
  readonly take: () => string[];
}

/** The texts of all lines that came in a test of this file. */
const seen = new Set<string>();

function lines(level: string): Lines {
  const found: string[] = [];
  const write = (line: string): void => {
    expect(line).not.toContain('secret');
    const {
      level: of,
      msg,
      reason,
      room,
      rev,
      session,
    } = JSON.parse(line) as Record<string, string | number | undefined>;
    if (of !== pino.levels.values['debug']) return;
    const [action] = String(msg).split(' ');
    seen.add(String(msg));
    found.push([action, reason, room ?? session, rev].filter((part) => part !== undefined).join(' '));
  };
  return { log: pino({ level, base: null }, { write }), take: () => found.splice(0) };
}

function act({ hub, gaps, enter }: HubStage): Record<string, () => Promise<void> | void> {
  const { receiver, resequencer, broadcaster, slowConsumers } = hub;
  const receive = (...envelopes: Envelope[]): void => receiver.receive(envelopes);
  const client = enter('ann', 'r');
  const { connection } = client;
  const sweep = (bytes: number): void => {
    client.buffered = bytes;
    slowConsumers.sweep([connection]);
  };
  resequencer.noteHead('r', 1);
  new Backfiller({
    gaps,
    resequencer,
    read: () => {
      const events = [2, 3].map((rev) => ({ ...message(rev), rev, at: 0 }));
      return Promise.resolve({ head: 3, events, complete: true });
    },
  }).start();
  return {
    older: () => receive(message(1)),
    gap: async () => {
      receive(message(3), message(3));
      await until('the gap is closed', () => resequencer.head('r') === 3);
    },
    'older membership': () => receive(membership(2), membership(1)),
    settings: () => receive(other('room'), other('room')),
    'not a member': () => receive(toUser('elsewhere')),
    suspended: () => {
      resequencer.suspend();
      receive(message(4), other('signal'), toUser('r'));
      resequencer.release();
      receiver.release();
    },
    missed: () => {
      receive(message(4));
      receiver.toUser({ to: 'user', user: 'ann', event: 'member', json: body, head: { room: 'r', rev: 0 } });
    },
    quiet: () => {
      sweep(soft + 1);
      receive(other('signal'));
      broadcaster.emitTo(connection, () => [], false);
    },
    behind: () => {
      sweep(behind + 1);
      receive(message(5), message(6));
    },
  };
}

it('each line comes once at the level debug, with room, rev, reason or session, and without a body', async () => {
  const { log, take } = lines('debug');
  const stage = stageHub(log);
  const found: Record<string, string[]> = {};
  for (const [name, step] of Object.entries(act(stage))) {
    await step();
    found[name] = take();
  }
  expect(found).toEqual({
    older: ['Dropped older r 1'],
    gap: [
      'Held gap r 3',
      'Dropped duplicate r 3',
      'Backfilled gap r 2',
      'Backfilled gap r 3',
      'Dropped older r 3', // the held one
    ],
    'older membership': ['Dropped older r'],
    settings: ['Dropped repeated r'],
    'not a member': ['Dropped not_member elsewhere'],
    suspended: ['Dropped suspended r 4', 'Held suspended r', 'Held suspended r'],
    missed: ['Sent missed r 4'],
    quiet: ['Quietened slow ~1', 'Dropped slow r', 'Dropped slow ~1'],
    behind: ['Put slow r', 'Sent slow r 5'],
  });
  stage.hub.resequencer.stop();
});

it('events over a limit make one line, whatever their number', () => {
  const { log, take } = lines('debug');
  const resequencer = new Resequencer(
    {
      deliver: () => undefined,
      gaps: createGaps(),
      reachable: () => true,
      mayDeliver: () => true,
      metrics: new Metrics(),
      log,
    },
    { heldEventsPerRoom: 2, suspendedEvents: 1 },
  );
  resequencer.add('r');
  resequencer.noteHead('r', 1);
  for (const rev of [3, 4, 5]) resequencer.receive(message(rev));
  expect(take()).toEqual(['Held gap r 3', 'Held gap r 4', 'Dropped limit r 5']);
  resequencer.receive(message(6));
  resequencer.remove('r');
  expect(take()).toEqual(['Held gap r 6', 'Dropped vacated r']);
  resequencer.add('r');
  resequencer.suspend();
  resequencer.receive(other('signal'));
  resequencer.receive(other('signal'));
  expect(take()).toEqual(['Held suspended r', 'Dropped limit r']);
});

it('no line is made at the level info', async () => {
  const { log, take } = lines('info');
  const stage = stageHub(log);
  for (const step of Object.values(act(stage))) await step();
  expect(take()).toEqual([]);
  stage.hub.resequencer.stop();
});

it('held events beyond the head in Postgres make one line', async () => {
  const { log, take } = lines('debug');
  const { hub, gaps, enter } = stageHub(log);
  enter('ann', 'r');
  const { resequencer } = hub;
  resequencer.noteHead('r', 1);
  // as after a restore: the node of the event has another history
  new Backfiller({
    gaps,
    resequencer,
    read: () => Promise.resolve({ head: 1, events: [], complete: true }),
  }).start();
  resequencer.receive(message(3));
  const found: string[] = [];
  await until('the held event is dropped', () => found.push(...take()) > 1);
  expect(found).toEqual(['Held gap r 3', 'Dropped beyond r 3']);
  resequencer.stop();
});

it('an event of a backend service is dropped with a line while the lease is not held', () => {
  const { log, take } = lines('debug');
  let held = true;
  const { hub, enter } = stageHub(log, () => held);
  enter('ann', 'r');
  hub.broadcaster.emitToRoom('r', () => [], undefined);
  expect(take()).toEqual([]);
  held = false;
  hub.broadcaster.emitToRoom('r', () => [], undefined);
  expect(take()).toEqual(['Dropped suspended r']);
});

it('messages between nodes are dropped with a line: without Redis, with too much on its way, and of another epoch', async () => {
  const { log, take } = lines('debug');
  const prefix = `test-${randomBytes(6).toString('hex')}:`;
  const id = crypto.randomUUID();
  const proxy = await startProxy(inject('redisUrl'));
  const open = async (epoch: string, maxUnansweredBytes: number, nodeLog: Log) => {
    const link = await openRedis({ url: proxy.url, prefix, log: silentLog });
    const installation = { id, epoch };
    const metrics = new Metrics();
    const options = {
      link,
      prefix,
      partitions: 1,
      installation,
      otherEpoch: () => undefined,
      metrics,
      maxUnansweredBytes,
    };
    const fanout = new RedisFanout({ ...options, log: nodeLog });
    await fanout.open();
    return { fanout, link };
  };
  const one = await open(crypto.randomUUID(), 200, log);
  const peer = await open(crypto.randomUUID(), 1_000_000, silentLog);
  peer.fanout.publish([message(5)]);
  const found: string[] = [];
  await until('the message of the other epoch comes', () => found.push(...take()) > 0);
  expect(found).toEqual(['Dropped epoch']);
  one.fanout.publish([{ ...message(6), json: `"${'x'.repeat(300)}"` }]);
  expect(take()).toEqual(['Dropped full']);
  proxy.cut();
  await until('Redis is down', () => !one.link.up);
  one.fanout.publish([message(6)]);
  expect(take()).toEqual(['Dropped away']);
  for (const { fanout, link } of [one, peer]) {
    await fanout.close();
    await link.close();
  }
  await proxy.close();
});

it('each debug line of the source came in a test above', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const calls = files.flatMap((file) => [
    ...readFileSync(join(src, file), 'utf8').matchAll(/debug\?\.debug\(\s*\{[^}]*\},\s*'([^']*)'/g),
  ]);
  const count = files.reduce(
    (sum, file) => sum + readFileSync(join(src, file), 'utf8').split('debug?.debug(').length - 1,
    0,
  );
  // one is in the comment of debug-log.ts
  expect(calls).toHaveLength(count - 1);
  expect([...seen].toSorted()).toEqual([...new Set(calls.map(([, text = '']) => text))].toSorted());
});
