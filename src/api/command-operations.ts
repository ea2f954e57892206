/** The commands as operations of REST, by their declarations. */
import type { Commands as Dispatcher } from '../commands/dispatcher.ts';
import type { CommandSchema } from '../protocol/command-schema.ts';
import { commands, type CommandName } from '../protocol/commands.ts';
import type { Caller } from '../sessions/caller.ts';
import { callerOf, requireRooms, roomsOf, type ActingParts } from './identity.ts';
import { operationsOf, type Operation } from './operation.ts';

export interface CommandOperationParts extends ActingParts {
  readonly commands: Pick<Dispatcher, 'call'>;
  /** Ends sessions of the caller; a request has no session of its own that would be spared. */
  readonly revoke: (caller: Caller, session: string | undefined) => Promise<object>;
}

export function commandOperations(parts: CommandOperationParts): Operation[] {
  return Object.entries<CommandSchema>(commands).flatMap(([key, declared]) => {
    const { http } = declared;
    if (http === 'connection') return [];
    const name = key as CommandName;
    const call = callOf(name, parts);
    const routes = 'path' in http ? [http] : http;
    return routes.flatMap((route) =>
      operationsOf(
        name,
        { ...declared, http: route },
        route.asOwner === true ? 'caller' : 'user',
        async ({ identity, input, seen }) => {
          const rooms = roomsOf(input);
          requireRooms(identity, declared.scope, rooms);
          return call(await callerOf(identity, route, rooms, parts), input, seen);
        },
      ).map((operation) => ({ ...operation, id: idOf(operation.id, routes.indexOf(route)) })),
    );
  });
}

type Call = (caller: Caller, input: unknown, seen: unknown) => Promise<object>;

function callOf(name: CommandName, { commands: dispatcher, revoke }: CommandOperationParts): Call {
  if (name === 'session:revoke') {
    return (caller, input) => revoke(caller, (input as { readonly session?: string }).session);
  }
  return (caller, input, seen) => dispatcher.call(caller, name, input, seen);
}

function idOf(id: string, place: number): string {
  return place === 0 ? id : `${id}${place + 1}`;
}
