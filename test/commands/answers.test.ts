import { createGaps } from '../../src/recovery/backfiller.ts';
import { Connections } from '../../src/hub/connections.ts';
import { afterAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Connection } from '../../src/hub/connection.ts';
import type { Declarations } from '../../src/protocol/command-schema.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Topics } from '../../src/transport/engineio/topics.ts';
import { createHub } from '../../src/hub/hub.ts';
import { Answers } from '../../src/commands/answers.ts';
import { Refusals } from '../../src/commands/refusals.ts';
import { commandTable, type Entry } from '../../src/commands/table.ts';
import { UserShares } from '../../src/commands/user-shares.ts';
import { Unsent } from '../../src/hub/unsent.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openConnection } from '../support/connection.ts';
import { silentLog } from '../support/messaging.ts';

const much = 1e9;
const metrics = new Metrics();
const shares = new UserShares(
  {
    commandsPerSecondPerUser: much,
    commandBurstPerUser: much,
    signalsPerSecondPerUser: much,
    signalBurstPerUser: much,
    bytesInPerSecondPerUser: much,
    bytesOutPerSecondPerUser: much,
    commandsPerSecondPerAddress: much,
  },
  metrics,
  () => undefined,
);
const unsent = new Unsent(
  { softBufferedBytes: much, maxUnsentBytesPerUser: much, maxUnsentBytesPerAddress: much },
  metrics,
);
afterAll(() => shares.stop());

const declarations = {
  'note:keep': {
    about: 'Keeps an imaginary note.',
    kind: 'write',
    weight: 1,
    scope: 'publish',
    http: { method: 'PUT', path: '/note' },
    input: z.object({}),
    output: z.object({}),
    errors: [],
  },
} as const satisfies Declarations;
const table = commandTable<typeof declarations, never>(
  { declarations, handlers: { 'note:keep': () => ({}) }, ofConnection: {}, around: {} },
  metrics,
);
const entry = table.get('note:keep') as Entry;
const answers = new Answers({ unsent, shares, refusals: new Refusals(), metrics, log: silentLog });
/** Answers in a later turn than that of the command. */
const answer = (connection: Connection): void => answers.succeed(connection, '1', entry, performance.now(), {}, true);
const ack = '431[{"ok":true}]';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('an event that is newer than an answer goes out behind it, and by itself at once', async () => {
  const { connection, sent } = openConnection();
  connection.sendBehindAcks(['first']);
  answer(connection);
  connection.sendBehindAcks(['second']);
  expect(sent).toEqual(['first']);
  await turn();
  expect(sent).toEqual(['first', ack, 'second']);
  connection.sendBehindAcks(['third']);
  expect(sent).toEqual(['first', ack, 'second', 'third']);
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
  answer(connection);
  await turn();
  await turn();
  expect(sent).toEqual([ack, '42["behind",{"room":"mine","head":6}]']);
  resequencer.stop();
});
