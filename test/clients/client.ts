/** A client of any make, in any place, as the scenario sees it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CommandInput, CommandName, CommandOutput } from '../../src/protocol/commands.ts';
import type { EventData, EventName } from '../../src/protocol/events.ts';
import type { WireError } from '../../src/protocol/errors.ts';
import { until } from '../support/until.ts';
import type { Received, StockKind } from './driver.ts';

/** Where and what a client is; each can open any number of them. */
export interface Make {
  readonly title: string;
  /** The transport it ends up with. */
  readonly transport: 'polling' | 'websocket';
  open(url: string, token: string): Promise<Interop>;
}

/** The way to one client: all is JSON, with binary as `{$bytes: […]}`. */
export interface Interop {
  received(from: number): Promise<Received[]>;
  state(): Promise<{ transport: string; refusal: unknown; disconnects: number }>;
  command(name: string, input: unknown): Promise<unknown>;
  close(): Promise<void>;
}

const versions = [4, 3] as const;
const transports = [undefined, ['polling'], ['websocket']] as const;

export const stockKinds: readonly StockKind[] = versions.flatMap((version) =>
  transports.flatMap((names) => [false, true].map((msgpack) => ({ version, transports: names, msgpack }))),
);

export function describeKind({ version, transports: names, msgpack }: StockKind): string {
  const how = names === undefined ? 'no options' : `${names.join()} only`;
  return `socket.io-client ${version}, ${how}${msgpack ? ', msgpack' : ''}`;
}

export function transportOf(kind: StockKind): 'polling' | 'websocket' {
  return kind.transports?.[0] ?? 'websocket';
}

export class Client {
  readonly interop: Interop;
  readonly title: string;
  readonly #received: Received[] = [];

  constructor(interop: Interop, title: string) {
    this.interop = interop;
    this.title = title;
  }

  static async open(make: Make, url: string, token: string): Promise<Client> {
    return new Client(await make.open(url, token), make.title);
  }

  static async ready(make: Make, url: string, token: string): Promise<Client> {
    const client = await Client.open(make, url, token);
    await client.event('ready');
    return client;
  }

  /** Tries again for as long as the server asks for it: on a busy machine it may have more work than it takes. */
  async ok<C extends CommandName>(name: C, input: CommandInput<C>): Promise<CommandOutput<C>> {
    for (;;) {
      const ack = (await this.interop.command(name, input)) as { ok: boolean; error?: WireError };
      if (ack.ok) {
        const { ok: _, ...output } = ack;
        return output as CommandOutput<C>;
      }
      if (ack.error?.code !== 'overloaded') throw new Error(`${this.title}: ${name}: ${JSON.stringify(ack.error)}`);
      await delay(ack.error.retryAfter ?? 100);
    }
  }

  async received<E extends EventName>(name: E): Promise<EventData<E>[]> {
    this.#received.push(...(await this.interop.received(this.#received.length)));
    return this.#received.filter((event) => event.name === name).map(({ data }) => data as EventData<E>);
  }

  /** The nth event of the name. */
  event<E extends EventName>(name: E, nth = 1): Promise<EventData<E>> {
    return until(`${this.title}: ${name} comes`, async () => (await this.received(name))[nth - 1], 60_000);
  }

  messages(room: string, count: number): Promise<EventData<'message'>[]> {
    return until(
      `${this.title}: ${count} messages of ${room} come`,
      async () => {
        const messages = (await this.received('message')).filter((message) => message.room === room);
        return messages.length >= count ? messages : undefined;
      },
      60_000,
    );
  }

  send(room: string, body: unknown): Promise<CommandOutput<'message:send'>> {
    return this.ok('message:send', { room, id: crypto.randomUUID(), body });
  }

  close(): Promise<void> {
    return this.interop.close();
  }
}
