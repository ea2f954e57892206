import { Connection } from '../../src/hub/connection.ts';

/** A connection without a socket: what it sends is kept. @param credit commands that it may give at once */
export function openConnection(credit = 1): { connection: Connection; sent: unknown[] } {
  const sent: unknown[] = [];
  const address = { address: '127.0.0.1', network: { key: '127.0.0.1', connections: 1, unsent: 0, latest: undefined } };
  const connection = new Connection('~a', address, 0, 'json', credit, undefined, null);
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
    close: () => undefined,
  });
  return { connection, sent };
}
