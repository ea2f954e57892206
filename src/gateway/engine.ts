/** Engine.IO v4: the handshake's checks and the packets around Socket.IO's. */
import { randomBytes } from 'node:crypto';

/** What the protocol answers to a bad handshake: always HTTP 400 with `{code, message}`. */
export const engineErrors = {
  transport: { code: 0, message: 'Transport unknown' },
  session: { code: 1, message: 'Session ID unknown' },
  method: { code: 2, message: 'Bad handshake method' },
  request: { code: 3, message: 'Bad request' },
  version: { code: 5, message: 'Unsupported protocol version' },
} as const;

export type EngineError = (typeof engineErrors)[keyof typeof engineErrors];

/** Engine.IO packet types, as the first character of a text frame. */
export const packet = { open: '0', close: '1', ping: '2', pong: '3', message: '4', upgrade: '5', noop: '6' } as const;

export interface HandshakeRequest {
  readonly method: string;
  /** Raw query string. */
  readonly query: string;
  readonly upgrade: boolean;
  readonly webSocketVersion: string;
}

/** Checks a request for the socket path. Unknown keys of the query are ignored, in any order. */
export function checkHandshake(request: HandshakeRequest): EngineError | undefined {
  const query = new URLSearchParams(request.query);
  const transport = query.get('transport');
  if (transport !== 'websocket')
    return transport === 'polling' && request.upgrade ? engineErrors.request : engineErrors.transport;
  if (query.get('EIO') !== '4') return engineErrors.version;
  // every session of a WebSocket is born with it
  if (query.has('sid')) return engineErrors.session;
  if (request.method !== 'get') return engineErrors.method;
  if (!request.upgrade || request.webSocketVersion !== '13') return engineErrors.request;
  return undefined;
}

/** An unguessable id: 120 bits in 20 characters. */
export function newId(): string {
  return randomBytes(15).toString('base64url');
}

export function openPacket(settings: { pingIntervalMs: number; pingTimeoutMs: number; maxFrameBytes: number }): string {
  return (
    packet.open +
    JSON.stringify({
      sid: newId(),
      upgrades: [],
      pingInterval: settings.pingIntervalMs,
      pingTimeout: settings.pingTimeoutMs,
      maxPayload: settings.maxFrameBytes,
    })
  );
}
