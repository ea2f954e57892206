/** A hub without a server: its topics are real, and each connection writes to a list. */
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Connection } from '../../src/hub/connection.ts';
import { Connections } from '../../src/hub/connections.ts';
import { createHub, type Hub } from '../../src/hub/hub.ts';
import type { WorkQueue } from '../../src/recovery/work-queue.ts';
import { createGaps } from '../../src/recovery/backfiller.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { Frame } from '../../src/transport/engineio/packet.ts';
import { Topics } from '../../src/transport/engineio/topics.ts';
import type { Wire } from '../../src/transport/engineio/transport-socket.ts';
import { silentLog } from '../support/messaging.ts';

export interface Client {
  readonly connection: Connection;
  readonly frames: Frame[];
  /** Bytes that the connection reports as unsent. */
  buffered: number;
}

export interface HubStage {
  readonly hub: Hub;
  readonly gaps: WorkQueue;
  /** A connection of the user in the state `joining`. */
  readonly connect: (user: string) => Client;
  /** A connection of the user that is in the rooms. */
  readonly enter: (user: string, ...rooms: string[]) => Client;
}

export const soft = 1000;
export const behind = 2000;

export function stageHub(log: Log = silentLog, mayDeliver = (): boolean => true): HubStage {
  // connections of HTTP long-polling: the topics keep them without uWS
  const topics = new Topics({ publish: () => true, numSubscribers: () => 0 });
  const connections = new Connections();
  const gaps = createGaps();
  const hub = createHub({
    connections,
    topics,
    settings: { softBufferedBytes: soft, behindBufferedBytes: behind },
    fanout: new MemoryFanout(),
    gaps,
    replay: { delivered: () => undefined, forget: () => undefined },
    mayDeliver,
    metrics: new Metrics(),
    log,
  });
  let count = 0;
  const connect = (user: string): Client => {
    const network = { key: '127.0.0.1', connections: 1, unsent: 0, latest: undefined };
    const address = { address: '127.0.0.1', network };
    const connection = new Connection(`~${++count}`, address, 0, 'json', 1, undefined, null);
    const client: Client = { connection, frames: [], buffered: 0 };
    const own = new Set<string>();
    const wire: Wire = {
      send: (frame) => client.frames.push(frame),
      cork: (send) => send(),
      subscribe: (topic) => {
        own.add(topic);
        topics.add(topic, wire);
        return true;
      },
      unsubscribe: (topic) => {
        topics.remove(topic, wire);
        return own.delete(topic);
      },
      isSubscribed: (topic) => own.has(topic),
      publish: () => true,
      getTopics: () => [...own],
      getBufferedAmount: () => client.buffered,
      end: () => undefined,
      close: () => undefined,
    };
    connection.attach(wire);
    connections.identify(connection, user, null);
    connection.state = 'joining';
    hub.subscriptions.joining(connection, user);
    return client;
  };
  const enter = (user: string, ...rooms: string[]): Client => {
    const client = connect(user);
    hub.subscriptions.enter(
      client.connection,
      rooms.map((room) => ({ room, role: 'member' })),
    );
    client.connection.state = 'ready';
    return client;
  };
  return { hub, gaps, connect, enter };
}
