/** The cursor of the list of dead letters: the place of the last one. */
import { ParleyError } from '../../protocol/errors.ts';
import type { DeadPlace } from './dead-rows.ts';

export const deadCursor = {
  encode: ({ at, id }: DeadPlace): string => Buffer.from(`${at} ${id}`).toString('base64url'),
  /** @throws {ParleyError} `invalid` */
  decode(text: string): DeadPlace {
    const [, at, id] = /^(\d{1,15}) ([0-9a-f-]{36})$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? [];
    if (at === undefined || id === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
      throw new ParleyError('invalid', 'before: not a cursor of this list.');
    return { at: Number(at), id };
  },
};
