/** The script of the pages of the SDK's tests: a client, and simple calls for the test. */
import { connect, indexedDbStore, memoryStore } from '../../src/client/index.ts';
import type { Client, Message, Outgoing } from '../../src/client/index.ts';
import { storeContract } from '../contract/store.contract.ts';

let client: Client | undefined;
const seen: string[] = [];
const settled: string[] = [];

function current(): Client {
  if (client === undefined) throw new Error('start first');
  return client;
}

const lab = {
  /** @param store of IndexedDB; undefined: none */
  start(token: string, options: { store?: string; tabs?: boolean } = {}): void {
    const { store, tabs = true } = options;
    client = connect({
      url: 'http://' + (globalThis as unknown as { location: { host: string } }).location.host,
      token: () => token,
      tabs,
      ...(store === undefined ? {} : { store: indexedDbStore(store) }),
    });
    client.state.subscribe(({ status }) => seen.push(status));
  },
  status: (): string => current().state.value.status,
  statuses: (): string[] => seen,
  open(room: string): void {
    current().room(room);
  },
  room: (room: string): string => current().room(room).state.value.status,
  send(room: string, body: string): void {
    current()
      .room(room)
      .send(body)
      .then(
        ({ seq }) => settled.push(`${body} is ${seq}`),
        (error: Error) => settled.push(`${body} ${error.message}`),
      );
  },
  settled: (): string[] => settled,
  bodies: (room: string): unknown[] =>
    current()
      .room(room)
      .messages.value.map(({ body }: Message) => body),
  cursor: (room: string): number => current().room(room).cursor,
  outgoing: (room: string): string[] =>
    current()
      .room(room)
      .state.value.outgoing.map(({ input, state }: Outgoing) => `${String(input.body)} ${state}`),
  unread: (room: string): number | undefined => current().rooms.value.find(({ id }) => id === room)?.unread,
  rooms: (): string[] => current().rooms.value.map(({ id }) => id),
  markRead: (room: string): void => current().room(room).markRead(),
  call: (name: 'room:join', input: { room: string }): Promise<unknown> => current().call(name, input),
  watchMembers(room: string): void {
    current()
      .room(room)
      .presence.subscribe(() => undefined);
  },
  present: (room: string): Record<string, boolean> =>
    Object.fromEntries(Array.from(current().room(room).presence.value, ([user, { online }]) => [user, online])),
  storeError: (): string | undefined => current().storeError.value?.message,
  close: (): void => current().close(),
  forget: (): Promise<void> => current().forget(),

  cases: (): string[] => Object.keys(storeContract),
  async runCase(name: string, kind: 'memory' | 'indexedDB'): Promise<void> {
    const database = `contract ${name}`;
    const memory = memoryStore();
    const make = () => (kind === 'memory' ? memory : indexedDbStore(database));
    await storeContract[name]?.(make(), make);
  },
  indexedDb: indexedDbStore,
};

export type Lab = typeof lab;
Object.assign(globalThis, { lab });
