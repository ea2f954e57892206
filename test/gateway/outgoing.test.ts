import { expect, it } from 'vitest';
import { Connection } from '../../src/gateway/connection.ts';
import { Outgoing } from '../../src/gateway/outgoing.ts';

it('an event that is newer than an answer goes out behind it, and by itself at once', async () => {
  const sent: unknown[] = [];
  const address = { address: '127.0.0.1', network: { key: '127.0.0.1', connections: 1, latest: undefined } };
  const connection = new Connection('~a', address, 0, 'json', 1, undefined, null);
  connection.attach({
    send: (frame) => sent.push(frame),
    cork: (send) => send(),
    subscribe: () => true,
    unsubscribe: () => true,
    isSubscribed: () => false,
    publish: () => true,
    getTopics: () => [],
    getBufferedAmount: () => 0,
    end: () => undefined,
  });
  const outgoing = new Outgoing();
  connection.sendBehindAcks(['first']);
  outgoing.send(connection, ['ack']);
  connection.sendBehindAcks(['second']);
  expect(sent).toEqual(['first']);
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual(['first', 'ack', 'second']);
  connection.sendBehindAcks(['third']);
  expect(sent).toEqual(['first', 'ack', 'second', 'third']);
});
