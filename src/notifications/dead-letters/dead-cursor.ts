/** The cursor of the list of dead letters: the place of the last one. */
import { ParleyError } from '../../protocol/errors.ts';
import type { DeadPlace } from './dead-rows.ts';

export const deadCursor = {
  encode: ({ micros, id }: DeadPlace): string => Buffer.from(`${micros} ${id}`).toString('base64url'),
  /** @throws {ParleyError} `invalid` */
  decode(text: string): DeadPlace {
    const [, micros, id] = /^(\d{1,16}) ([0-9a-f-]{36})$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? [];
    if (micros === undefined || id === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
      throw new ParleyError('invalid', 'before: not a cursor of this list.');
    return { micros: Number(micros), id };
  },
};
