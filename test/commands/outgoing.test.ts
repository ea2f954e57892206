import { createGaps } from '../../src/recovery/backfiller.ts';
import { Connections } from '../../src/hub/connections.ts';
import { expect, it } from 'vitest';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Topics } from '../../src/transport/engineio/topics.ts';
import { createHub } from '../../src/hub/hub.ts';
import { Outgoing } from '../../src/commands/outgoing.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openConnection } from '../support/connection.ts';
import { silentLog } from '../support/messaging.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('an event that is newer than an answer goes out behind it, and by itself at once', async () => {
  const { connection, sent } = openConnection();
  const outgoing = new Outgoing(() => {});
  connection.sendBehindAcks(['first']);
  outgoing.send(connection, ['ack']);
  connection.sendBehindAcks(['second']);
  expect(sent).toEqual(['first']);
  await turn();
  expect(sent).toEqual(['first', 'ack', 'second']);
  connection.sendBehindAcks(['third']);
  expect(sent).toEqual(['first', 'ack', 'second', 'third']);
});

it('`behind` goes out behind the answer whose head it corrects, and only in rooms of the user', async () => {
  const { connection, sent } = openConnection();
  const topics = new Topics({ publish: () => true, numSubscribers: () => 0 });
  const { resequencer, receiver } = createHub({
    connections: new Connections(),
    topics,
    settings: { softBufferedBytes: 1, behindBufferedBytes: 2 },
    fanout: new MemoryFanout(() => undefined),
    gaps: createGaps(),
    registry: { received: () => undefined, departed: () => undefined },
    lease: { held: true, hurry: () => undefined },
    replay: { delivered: () => undefined, forget: () => undefined },
    metrics: new Metrics(),
    log: silentLog,
  });
  for (const room of ['mine', 'open']) {
    resequencer.add(room);
    resequencer.noteHead(room, 5);
    resequencer.receive({ to: 'room', room, event: 'message', rev: 6, json: '{}' });
  }
  receiver.noteHeads(connection, [
    { id: 'mine', rev: 4, role: 'member' },
    { id: 'open', rev: 4, role: null },
  ]);
  // the answer is sent later in the same turn
  await Promise.resolve();
  new Outgoing(() => {}).send(connection, ['ack']);
  await turn();
  await turn();
  expect(sent).toEqual(['ack', '42["behind",{"room":"mine","head":6}]']);
  resequencer.stop();
});
