/** The messages between the tabs of one user, as JSON on a BroadcastChannel. */
import type { CommandName } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { ConnectionState } from './connection.ts';
import { fromWire } from './failure.ts';
import type { OutboxNews } from './outbox.ts';

export type TabMessage =
  | { kind: 'leader' }
  | { kind: 'outbox'; news: OutboxNews }
  // To the leader.
  | { kind: 'who' | 'hello' | 'bye' | 'ping' | 'wake' | 'check' }
  | { kind: 'request'; id: number; name: CommandName; input: never; timeoutMs: number }
  // From the leader, which also sends `bye`.
  | { kind: 'pong' }
  | { kind: 'state'; state: ConnectionState }
  | { kind: 'ready'; ready: EventData<'ready'> }
  | { kind: 'event'; name: string; data: unknown }
  | { kind: 'answer'; id: number; output?: unknown; error?: WireError };
/** `to`: the one tab that it is for; without it the message is for all tabs. */
export type AddressedMessage = TabMessage & { from: string; to?: string };

/** As text: a structured clone would throw on a value that cannot be cloned but can be sent to a server. */
export function encodeTabMessage(message: object): string {
  return JSON.stringify(message, (_, value: unknown) => (value instanceof ParleyError ? value.toWire() : value));
}

/** The channel carries an error as JSON, so its class is restored here. */
export function revived(state: ConnectionState): ConnectionState {
  return 'error' in state ? { ...state, error: fromWire(state.error as Partial<WireError>) } : state;
}
