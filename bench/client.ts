/** The native load client: compiled when its sources are newer, driven by lines over its stdin and stdout. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Child, Lab } from './lab.ts';

const here = import.meta.dirname;
const built = join(here, '.build');

export interface LoadResult {
  seconds: number;
  sent: number;
  acks: number;
  errors: number;
  deliveries: number;
  bytes: number;
  /** Deliveries that were missing three seconds after the end. */
  undelivered: number;
  /** Commands of the open loop that were not sent because too many were unanswered. */
  late: number;
  /** Connections that were up and broke. */
  lost: number;
  latencyMs: Spread;
  /** From the `{now}` of a command, which the event has as `"t"`, to each delivery. Any client of this machine may be the sender. */
  deliveryMs: Spread;
  /** CPU seconds inside the measured window. */
  clientCpu: number;
  serverCpu: number;
  machineCpu: number;
  firstError: string;
  firstFailure: string;
}

export interface Spread {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

export interface Load {
  /** 0: the client sends nothing. */
  senders: number;
  outstanding?: number;
  /** Messages/s of all senders, on a schedule that waits for no ack. Absent: as fast as acks allow. */
  rate?: number;
  receivers?: number;
  warmup: number;
  seconds: number;
}

export interface ClientOptions {
  /** Several addresses are the nodes of a cluster: connection i goes to the i-th. */
  port: number | readonly number[];
  /** The processes that count as the server in processor time. */
  serverPid: number | readonly number[];
  dialect: Dialect;
  connections: number;
  /** nchan: the first so many connections are HTTP publishers. */
  publishers?: number;
  /** For each connection, a line of the file: the path of the handshake. */
  paths?: string;
  upPrefix?: string;
  countPrefix?: string;
  tokens?: string;
  setups?: string;
  rooms?: string;
  command?: string;
}

/** client/load.h describes each of them. */
export type Dialect = 'sio' | 'raw' | 'nchan' | 'nats';

/** The time and cost of connecting all. CPU in seconds. */
export interface Connector {
  seconds: number;
  clientCpu: number;
  serverCpu: number;
  machineCpu: number;
}

export class LoadClient {
  readonly #child: Child;
  readonly connections: number;
  readonly connecting: Connector;

  private constructor(child: Child, connections: number, connecting: Connector) {
    this.#child = child;
    this.connections = connections;
    this.connecting = connecting;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Returns once every connection is up. @throws if one of them does not connect. */
  static async connect(lab: Lab, options: ClientOptions): Promise<LoadClient> {
    const args = ['--port', String(options.port), '--server-pid', String(options.serverPid)];
    args.push('--dialect', options.dialect, '--connections', String(options.connections));
    if (options.dialect === 'sio') args.push('--path', '/socket.io/?EIO=4&transport=websocket');
    for (const [name, value] of [
      ['--up-prefix', options.upPrefix],
      ['--count-prefix', options.countPrefix],
      ['--tokens', options.tokens],
      ['--setups', options.setups],
      ['--rooms', options.rooms],
      ['--paths', options.paths],
      ['--publishers', options.publishers?.toString()],
    ] as const) {
      if (value !== undefined) args.push(name, value);
    }
    const child = lab.start(join(built, 'load'), args);
    const up = JSON.parse(await child.line(100_000)) as Connector & { up: number; firstFailure: string };
    if (up.up !== options.connections) {
      throw new Error(`${up.up} of ${options.connections} connections came up; first failure: ${up.firstFailure}`);
    }
    const client = new LoadClient(child, options.connections, up);
    if (options.command !== undefined) client.command(options.command);
    return client;
  }

  /** The frame that the next loads send; `{ack}`, `{uuid}`, `{room}`, `{now}` and `{crlf}` are filled in. */
  command(template: string): void {
    this.#child.write(`command ${template}`);
  }

  /** @throws if an ack was an error or a connection broke: the rate of a failed run means nothing. */
  async load(load: Load, mayBeRefused = false): Promise<LoadResult> {
    const words = Object.entries(load).map(([name, value]) => `${name}=${value}`);
    this.#child.write(`load ${words.join(' ')}`);
    const result = JSON.parse(await this.#child.line((load.warmup + load.seconds + 15) * 1000)) as LoadResult;
    if (result.errors > 0 && !mayBeRefused)
      throw new Error(`${result.errors} of ${result.acks} commands failed: ${result.firstError}`);
    if (result.lost > 0) throw new Error(`${result.lost} connections broke under load: ${result.firstFailure}`);
    return result;
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}

export function nullServer(lab: Lab, port: number, mode: 'echo' | 'fanout' | 'rooms', frameBytes: number): Child {
  return lab.start(join(built, 'null'), [String(port), mode, String(frameBytes)]);
}

/** @returns the reason if the client could not be built, or undefined. */
export function buildClient(): string | undefined {
  mkdirSync(built, { recursive: true });
  const sources = readdirSync(join(here, 'client')).map((name) => join(here, 'client', name));
  const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  for (const [target, match] of [
    ['load', (path: string) => path.endsWith('.c') && !path.endsWith('null.c')],
    ['null', (path: string) => path.endsWith('null.c')],
  ] as const) {
    const path = join(built, target);
    if (existsSync(path) && statSync(path).mtimeMs >= newest) continue;
    const flags = ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-o', path];
    const done = spawnSync(process.env['CC'] ?? 'cc', [...flags, ...sources.filter(match)], { encoding: 'utf8' });
    if (done.error) return 'no C compiler: install one (Debian: apt-get install gcc libc6-dev) or name it in CC';
    if (done.status !== 0) return `the load client does not compile:\n${done.stderr}`;
  }
  return undefined;
}

/** The peers are compiled as Parley is, so no loader slows them down. */
export function buildPeers(): void {
  const tsc = join(here, '../node_modules/.bin/tsc');
  const done = spawnSync(tsc, ['-p', join(here, 'peers')], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`the peers do not compile:\n${done.stdout}${done.stderr}`);
}

export type PeerProcess = 'socketio' | 'uws' | 'ws' | 'insert';

export const peerPath = (name: PeerProcess): string => join(built, 'js/peers', `${name}.js`);
