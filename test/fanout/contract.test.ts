/** The contract of fan-out, for both forms; see src/fanout/fanout.ts. */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, inject, it } from 'vitest';
import type { Envelope, Fanout, Receiver, RoomEvent } from '../../src/fanout/fanout.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { RedisFanout } from '../../src/fanout/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { silentLog } from '../support/messaging.ts';

const cleanUp: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

interface Form {
  readonly name: string;
  open(receive: Receiver): Promise<Fanout>;
  /** Stops the transport. The form for one node has none. */
  readonly stopTransport?: () => void;
}

function redisForm(partitions: number): Form {
  let link: RedisLink | undefined;
  return {
    name: `Redis, ${partitions} partition(s)`,
    async open(receive) {
      const opened = await openRedis({ url: inject('redisUrl'), log: silentLog });
      link = opened;
      cleanUp.push(() => opened.close());
      const prefix = `test-${randomBytes(6).toString('hex')}:`;
      const fanout = new RedisFanout({
        link: opened,
        prefix,
        partitions,
        installation: { id: crypto.randomUUID(), epoch: crypto.randomUUID() },
        otherEpoch: () => undefined,
        metrics: new Metrics(),
        log: silentLog,
      });
      fanout.listen(receive);
      await fanout.open();
      cleanUp.push(() => fanout.close());
      return fanout;
    },
    stopTransport: () => void link?.close(),
  };
}

const forms: Form[] = [
  { name: 'memory', open: (receive) => Promise.resolve(new MemoryFanout(receive)) },
  redisForm(1),
  redisForm(16),
];

function event(room: string, rev: number, more: Partial<RoomEvent> = {}): RoomEvent {
  return { to: 'room', room, event: 'message', rev, json: `{"rev":${rev}}`, ...more };
}

describe.each(forms)('fan-out in its form for $name', (form) => {
  async function open(): Promise<{ fanout: Fanout; calls: Envelope[][] }> {
    const calls: Envelope[][] = [];
    const fanout = await form.open((envelopes) => void calls.push([...envelopes]));
    return { fanout, calls };
  }

  it('gives the publishing node its envelopes before publish returns, all in one call and in order', async () => {
    const { fanout, calls } = await open();
    const batch: Envelope[] = [
      event('a', 1),
      event('b', 1),
      { to: 'membership', user: 'ann', room: 'a', role: null },
      { to: 'user', user: 'ann', event: 'member', json: '{}', head: { room: 'a', rev: 2 } },
      event('a', 2),
      { to: 'closed', room: 'a', event: 'room', json: '{}' },
    ];
    fanout.publish(batch);
    expect(calls).toEqual([batch]);
    fanout.publish([event('a', 3)]);
    expect(calls.at(1)).toEqual([event('a', 3)]);
  });

  it('gives envelopes once', async () => {
    const { fanout, calls } = await open();
    await fanout.occupied('a');
    for (let rev = 1; rev <= 50; rev++) fanout.publish([event('a', rev)]);
    // a returning envelope would be here before the answer to a later command
    await fanout.occupied('b');
    await fanout.close();
    expect(calls.flat().map((one) => (one.to === 'room' ? one.rev : 0))).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
  });

  it('keeps attachments and the excluded session', async () => {
    const { fanout, calls } = await open();
    const signal: RoomEvent = {
      to: 'room',
      room: 'a',
      event: 'signal',
      json: '{"data":{"_placeholder":true,"num":0}}',
      attachments: [new Uint8Array([0, 255, 7])],
      except: 'session',
    };
    fanout.publish([signal]);
    expect(calls).toEqual([[signal]]);
  });

  it('does not call for nothing', async () => {
    const { fanout, calls } = await open();
    fanout.publish([]);
    expect(calls).toEqual([]);
  });

  it('lets rooms be occupied and vacated in any order, and resolves each', async () => {
    const { fanout } = await open();
    const waits: Promise<void>[] = [];
    for (let i = 0; i < 100; i++) {
      waits.push(fanout.occupied(`room-${i}`));
      if (i % 2 === 0) fanout.vacated(`room-${i}`);
      if (i % 4 === 0) waits.push(fanout.occupied(`room-${i}`));
    }
    await Promise.all(waits);
  });

  it('delivers locally, and does not throw, while its transport is down', async () => {
    const { fanout, calls } = await open();
    form.stopTransport?.();
    await fanout.occupied('a');
    fanout.publish([event('a', 1)]);
    fanout.vacated('a');
    expect(calls).toEqual([[event('a', 1)]]);
  });

  it('does not throw when it is closed, and closes twice', async () => {
    const { fanout } = await open();
    await fanout.close();
    await fanout.close();
    fanout.publish([event('a', 1)]);
    await fanout.occupied('a');
    fanout.vacated('a');
  });
});
