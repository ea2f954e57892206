/**
 * The small application that the public protocol suites of Socket.IO need, on Parley's own gateway:
 *
 *   npm run conformance -- --port 3000 [--ping 300] [--timeout 200] [--max-payload 1000000] [--connect-timeout 1000]
 *                          [--upgrade-timeout 10000] [--origins a,b] [--bad-token T] [--engine]
 *
 * Socket.IO at /socket.io/: on connect it emits `auth` with CONNECT's payload; `message`(…args) → `message-back`(…args);
 * `message-with-ack`(…args, ack) → ack(…args); `echo`(value, ack) → ack(value); `pub`(value) → `message`(value) to
 * everybody; `ask`(value) → the server asks `question`(value) and emits `answered` with what the client acknowledged.
 * The namespace /custom emits `auth` too. With --engine: Engine.IO alone at /engine.io/, every message comes back.
 */
import uWS from 'uWebSockets.js';
import { parseArgs } from 'node:util';
import { ClientAddress } from '../../src/http/client-address.ts';
import type { Connection } from '../../src/hub/connection.ts';
import { Topics } from '../../src/transport/engineio/topics.ts';
import { Engine, type EngineHost, type EngineSettings } from '../../src/transport/engineio/engine.ts';
import { Session } from '../../src/transport/engineio/transport-socket.ts';
import { encodeArgs, encodeConnect, encodeConnectError } from '../../src/transport/socketio/encode.ts';
import type { EventPacket, Form } from '../../src/transport/socketio/packet.ts';
import type { SocketApp } from '../../src/connect/socket-app.ts';
import { Sockets } from '../../src/connect/sockets.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '3000' },
    ping: { type: 'string', default: '300' },
    timeout: { type: 'string', default: '200' },
    'max-payload': { type: 'string', default: '1000000' },
    'connect-timeout': { type: 'string', default: '1000' },
    'upgrade-timeout': { type: 'string', default: '10000' },
    origins: { type: 'string', default: '*' },
    'bad-token': { type: 'string' },
    engine: { type: 'boolean', default: false },
  },
});

const forms: readonly Form[] = ['json', 'msgpack'];

/** Everything that comes goes back; tokens are checked against one that is bad. */
class Echo implements SocketApp {
  readonly namespaces: ReadonlySet<string> = new Set(['/', '/custom']);
  readonly events = this;
  readonly #publish: (form: Form, args: readonly unknown[]) => void;

  constructor(publish: (form: Form, args: readonly unknown[]) => void) {
    this.#publish = publish;
  }

  connect(connection: Connection, namespace: string, payload: object | undefined): void {
    const token = payload !== undefined && 'token' in payload ? payload.token : undefined;
    if (values['bad-token'] !== undefined && token === values['bad-token']) {
      connection.sendFrames(encodeConnectError(connection.form, namespace, 'Bad token', { code: 'unauthorized' }));
      return;
    }
    if (namespace === '/') {
      connection.state = 'ready';
      connection.expires = Infinity;
      connection.subscribe(`all:${connection.form}`);
    } else {
      (connection.namespaces ??= new Set()).add(namespace);
    }
    connection.sendFrames(encodeConnect(connection.form, namespace, connection.session));
    this.#emit(connection, namespace, ['auth', payload ?? {}]);
  }

  run(connection: Connection, { namespace, ack, args: [name, ...args] }: EventPacket): void {
    if (name === 'message') this.#emit(connection, namespace, ['message-back', ...args]);
    if (name === 'message-with-ack' || name === 'echo') {
      connection.sendFrames(encodeArgs(connection.form, 'ack', namespace, ack, args));
    }
    if (name === 'pub') for (const form of forms) this.#publish(form, ['message', ...args]);
    if (name === 'ask') {
      connection.emitWithAck('question', args, 1000).then(
        (answer) => this.#emit(connection, namespace, ['answered', ...answer]),
        (error: unknown) => this.#emit(connection, namespace, ['answered', String(error)]),
      );
    }
  }

  disconnected(connection: Connection): void {
    connection.unsubscribe(`all:${connection.form}`);
  }

  #emit(connection: Connection, namespace: string, args: readonly unknown[]): void {
    connection.sendFrames(encodeArgs(connection.form, 'event', namespace, '', args));
  }
}

const bareEngine: EngineHost<Session> = {
  create: ({ address, now }) => new Session(address, now),
  opened: () => {},
  text: (session, frame) => {
    session.send(frame.toString('utf8'));
    return true;
  },
  binary: (session, data) => {
    session.send(data);
    return true;
  },
  closed: () => {},
};

const settings: EngineSettings = {
  path: values.engine ? '/engine.io/' : '/socket.io/',
  pingIntervalMs: Number(values.ping),
  pingTimeoutMs: Number(values.timeout),
  upgradeTimeoutMs: Number(values['upgrade-timeout']),
  maxFrameBytes: Number(values['max-payload']),
  maxBufferedBytes: 64 * 1024 * 1024,
  maxConnections: 100_000,
  maxConnectionsPerAddress: 100_000,
  connectsPerSecondPerAddress: 1_000_000,
  compression: 'off',
  origins: values.origins.split(','),
  localOrigins: true,
  longPolling: true,
};

const app = uWS.App();
const metrics = new Metrics();
const log = createLog({ level: 'error', pretty: false, node: 'conformance' });
const topics = new Topics(app);
const parts = { app, topics, metrics, log, clientAddress: new ClientAddress([]) };

function serveSockets(): void {
  const echo = new Echo((form, args) => {
    for (const frame of encodeArgs(form, 'event', '/', '', args)) topics.publish(`all:${form}`, frame);
  });
  const socketSettings = {
    connectTimeoutMs: Number(values['connect-timeout']),
    commandBurst: 1,
    tokenInUrl: false,
  };
  const sockets = new Sockets(socketSettings, echo, { metrics, log });
  new Engine(settings, parts, sockets);
}

if (values.engine) new Engine(settings, parts, bareEngine);
else serveSockets();

app.listen('127.0.0.1', Number(values.port), (socket) => {
  if (socket === false) throw new Error(`port ${values.port} is in use`);
  console.log(`conformance listens on http://localhost:${uWS.us_socket_local_port(socket as never)}${settings.path}`);
});
