/** The cases that the compiler has to refuse: `npm run typecheck` reports each line that compiles. */
import { connect } from '../../src/client/index.ts';
import type { Client, CommandInput, EventName, Message, Readable, Store } from '../../src/client/index.ts';

export function wrong(client: Client): void {
  // @ts-expect-error there is no such event
  client.on('mesage', () => undefined);
  // @ts-expect-error a message has no such field
  client.on('message', (message) => message.text);
  // @ts-expect-error the event is another one's
  client.on('presence', (message: Message) => message);
  // @ts-expect-error there is no such command
  void client.call('message:sned', { room: 'r' });
  // @ts-expect-error the room is missing
  void client.call('message:edit', { seq: 1, body: 'x' });
  // @ts-expect-error a seq is a number
  void client.call('read', { room: 'r', seq: '1' });
  // @ts-expect-error there is no such role
  void client.invite('r', 'ann', 'king');
  // @ts-expect-error nobody becomes an owner by invitation
  void client.invite('r', 'ann', 'owner');
  // @ts-expect-error a direct room is made by its other user
  void client.createRoom({ kind: 'direct', name: 'x' });
  // @ts-expect-error there is no such lane
  void client.room('r').send('x', { lane: 'fast' });
  // @ts-expect-error the answer has no such field
  void client.call('history', { room: 'r' }).then(({ entries }) => entries);
  // @ts-expect-error messages are what the server says
  client.room('r').messages.value.push({});
  // @ts-expect-error a token is text
  connect({ url: 'http://localhost', token: () => 1 });
  // @ts-expect-error a store has three functions
  connect({ url: 'http://localhost', token: 't', store: { get: async () => 1 } });
}

export function right(client: Client, store: Store): void {
  const names: EventName[] = ['message', 'reaction', 'signal'];
  const input: CommandInput<'history'> = { room: 'r' };
  const shown: Readable<readonly Message[]> = client.room('r').messages;
  const custom: Client = connect({ url: 'http://localhost', token: async () => 't', store });
  void [names, input, shown, custom];
}
