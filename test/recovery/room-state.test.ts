/** The state of a room that `parley inspect` shows. */
import { expect, it } from 'vitest';
import { createGaps } from '../../src/recovery/backfiller.ts';
import { Resequencer } from '../../src/recovery/resequencer.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { silentLog } from '../support/messaging.ts';

it('has the head, the gap and the held events of a room', () => {
  const order = new Resequencer(
    {
      broadcaster: { toRoom: () => {} },
      gaps: createGaps(),
      others: { reachable: true },
      lease: { held: true },
      metrics: new Metrics(),
      log: silentLog,
    },
    { graceMs: 60_000, shortGraceMs: 60_000 },
  );
  const receive = (rev: number): void =>
    order.receive({ to: 'room', room: 'a', event: 'message', rev, json: JSON.stringify({}) });
  expect(order.stateOf('a')).toBeUndefined();
  order.add('a');
  expect(order.stateOf('a')).toEqual({ head: null, gap: null, held: 0 });
  // a client has the head, so that every later event is expected
  order.noteHead('a', 1);
  receive(2);
  expect(order.stateOf('a')).toEqual({ head: 2, gap: null, held: 0 });
  receive(4);
  receive(6);
  expect(order.stateOf('a')).toEqual({ head: 2, gap: { wanted: 6, failures: 0 }, held: 2 });
  receive(3);
  expect(order.stateOf('a')).toEqual({ head: 4, gap: { wanted: 6, failures: 0 }, held: 1 });
  order.stop();
});
