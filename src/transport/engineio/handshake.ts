/** The checks of an Engine.IO v4 request, before anything is created for it. */
import { randomFillSync } from 'node:crypto';
import { packet } from './packet.ts';

/** The answers of the protocol to bad requests, always with HTTP 400. */
export const engineErrors = {
  transport: { code: 0, message: 'Transport unknown' },
  session: { code: 1, message: 'Session ID unknown' },
  method: { code: 2, message: 'Bad handshake method' },
  request: { code: 3, message: 'Bad request' },
  version: { code: 5, message: 'Unsupported protocol version' },
} as const;

export type EngineError = (typeof engineErrors)[keyof typeof engineErrors];

export interface EngineRequest {
  readonly method: string;
  readonly query: URLSearchParams;
  /** Whether the request has an Upgrade header. */
  readonly upgrade: boolean;
  readonly webSocketVersion: string;
}

/** Ignores unknown keys of the query. The caller checks that the session exists. */
export function checkRequest({ method, query, upgrade, webSocketVersion }: EngineRequest): EngineError | undefined {
  const transport = query.get('transport');
  if (transport !== 'websocket' && transport !== 'polling') return engineErrors.transport;
  if (query.get('EIO') !== '4') return engineErrors.version;
  if (transport === 'websocket') {
    if (method !== 'get') return engineErrors.method;
    return upgrade && webSocketVersion === '13' ? undefined : engineErrors.request;
  }
  if (upgrade) return engineErrors.request;
  if (method === 'get') return undefined;
  return method === 'post' && query.has('sid') ? undefined : engineErrors.method;
}

const idBytes = 15;
/** Random bytes for the next ids. Generated one by one they take 3 % of the time of a handshake. */
const pool = Buffer.allocUnsafe(256 * idBytes);
let taken = pool.length;

/** An unguessable id: 120 bits in 20 characters. */
export function newId(): string {
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  return pool.toString('base64url', taken, (taken += idBytes));
}

export interface OpenSettings {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly maxFrameBytes: number;
}

export function openPacket(sid: string, upgrades: readonly string[], settings: OpenSettings): string {
  return (
    packet.open +
    JSON.stringify({
      sid,
      upgrades,
      pingInterval: settings.pingIntervalMs,
      pingTimeout: settings.pingTimeoutMs,
      maxPayload: settings.maxFrameBytes,
    })
  );
}
