/** The cases that every form of fan-out passes; src/fanout/fanout.ts states the contract in prose. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Envelope, Fanout, Receiver, RoomEvent } from '../../src/fanout/fanout.ts';

export interface OpenFanout {
  readonly fanout: Fanout;
  close(): Promise<void>;
  /** Makes the service unavailable that the form publishes over; absent for a form without one. */
  readonly disconnect?: () => void;
}

function event(room: string, rev: number, more: Partial<RoomEvent> = {}): RoomEvent {
  return { to: 'room', room, event: 'message', rev, json: `{"rev":${rev}}`, ...more };
}

const opened: OpenFanout[] = [];

export function fanoutContract(form: string, openForm: (receive: Receiver) => Promise<OpenFanout>): void {
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  async function open(): Promise<OpenFanout & { calls: Envelope[][] }> {
    const calls: Envelope[][] = [];
    const one = await openForm((envelopes) => void calls.push([...envelopes]));
    opened.push(one);
    return { ...one, calls };
  }

  describe(`fan-out in ${form}`, () => {
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

    it('gives an observer what its node publishes, after the receiver has got it', async () => {
      const { fanout, calls } = await open();
      const seen: { readonly envelopes: readonly Envelope[]; readonly received: number }[] = [];
      fanout.observe({ published: (envelopes) => void seen.push({ envelopes, received: calls.length }) });
      fanout.publish([event('a', 1), event('b', 1)]);
      fanout.publish([]);
      expect(seen).toEqual([{ envelopes: [event('a', 1), event('b', 1)], received: 1 }]);
    });

    it('gives the publishing node each envelope once', async () => {
      const { fanout, calls } = await open();
      await fanout.occupied('a');
      for (let rev = 1; rev <= 50; rev++) fanout.publish([event('a', rev)]);
      // an envelope that came back would arrive before the answer to a later command
      await fanout.occupied('b');
      await fanout.close();
      expect(calls.flat().map((one) => (one.to === 'room' ? one.rev : 0))).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 1),
      );
    });

    it('keeps the attachments and the excluded connection of a signal', async () => {
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

    it('gives the publishing node an event to one connection', async () => {
      const { fanout, calls } = await open();
      const signal: Envelope = { to: 'connection', connection: 'session', event: 'signal:direct', json: '{"data":1}' };
      fanout.publish([signal]);
      expect(calls).toEqual([[signal]]);
    });

    it('calls no receiver for an empty batch', async () => {
      const { fanout, calls } = await open();
      fanout.publish([]);
      expect(calls).toEqual([]);
    });

    it('takes rooms that are occupied and vacated in any order, and resolves each', async () => {
      const { fanout } = await open();
      const waits: Promise<void>[] = [];
      for (let i = 0; i < 100; i++) {
        waits.push(fanout.occupied(`room-${i}`));
        if (i % 2 === 0) fanout.vacated(`room-${i}`);
        if (i % 4 === 0) waits.push(fanout.occupied(`room-${i}`));
      }
      await Promise.all(waits);
    });

    it('delivers on this node and does not throw while its service is unavailable', async () => {
      const { fanout, calls, disconnect } = await open();
      disconnect?.();
      await fanout.occupied('a');
      fanout.publish([event('a', 1)]);
      fanout.vacated('a');
      expect(calls).toEqual([[event('a', 1)]]);
    });

    it('does not throw after it is closed, and closes twice', async () => {
      const { fanout } = await open();
      await fanout.close();
      await fanout.close();
      fanout.publish([event('a', 1)]);
      await fanout.occupied('a');
      fanout.vacated('a');
    });
  });
}
