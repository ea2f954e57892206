/** The changes of one room as a page, by the command `sync`. */
import type { Commands } from '../../commands/dispatcher.ts';
import { Encoded } from '../../commands/encoded.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { changeRoutes } from '../../protocol/routes/changes.ts';
import { callerOf, requireRooms, type ActingParts } from '../identity.ts';
import { membersOf, textOf } from '../json-text.ts';
import type { RouteHandlers } from '../operation.ts';

export interface ChangeParts extends ActingParts {
  readonly commands: Pick<Commands, 'call'>;
}

const { scope, http } = changeRoutes['room:changes'];

export function changeHandlers(parts: ChangeParts): RouteHandlers<typeof changeRoutes> {
  return {
    'room:changes': async ({ identity, input: { room, after, limit, epoch } }) => {
      requireRooms(identity, scope, [room]);
      const caller = await callerOf(identity, http, [room], parts);
      const { commands } = parts;
      const given = epoch === undefined ? {} : { epoch };
      const input = { cursors: { [room]: after }, limit, bytes: limits.syncBytes, ...given };
      const page = pageOf(await commands.call(caller, 'sync', input), room);
      if (page !== undefined) return page;
      // `sync` leaves a room out for several reasons, and `history` names the reason
      await commands.call(caller, 'history', { room, limit: 1 });
      throw new ParleyError('not_member');
    },
  };
}

/** @returns undefined if the output does not have the room */
function pageOf(output: object, room: string): Encoded | undefined {
  const json = output instanceof Encoded ? output.json : JSON.stringify(output);
  const members = membersOf(json);
  const rooms = textOf(json, members, 'rooms') ?? '{}';
  const text = textOf(rooms, membersOf(rooms), room);
  if (text === undefined) return undefined;
  const more = textOf(text, membersOf(text), 'more') === 'true';
  const next = more ? textOf(text, membersOf(text), 'rev') : 'null';
  return new Encoded(`${text.slice(0, -1)},"next":${next},"epoch":${textOf(json, members, 'epoch')}}`);
}
