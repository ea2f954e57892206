/** The form of the declaration of a command, and the parts that several declarations share. */
import { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import type { Http } from './http-route.ts';
import { limits } from './limits.ts';
import { role, roomId, userId } from './model.ts';
import type { Scope } from './scopes.ts';

/**
 * `read`: nothing is stored; a node that hands the database over still answers it. `write`: something is stored, also
 * when its ack does not wait for it; a node that hands the database over refuses it first. `signal`: an event goes out,
 * and nothing is stored.
 */
export type CommandKind = 'read' | 'write' | 'signal';

export interface CommandSchema {
  readonly about: string;
  readonly kind: CommandKind;
  /** The units that a command takes of the rates of its connection and its user: its cost in units of a send. */
  readonly weight: number;
  /** The scope that an API key needs. */
  readonly scope: Scope;
  readonly http: Http;
  /**
   * Absent: the answer is small. `page`: messages, up to a megabyte; a user gets few of these at once. `list`: tens of
   * kilobytes. No `page` and no `list` is made for a connection whose last answer is unsent.
   */
  readonly answer?: 'page' | 'list';
  /** The field of the input that names a message by its seq. In an old epoch that seq may be another message. */
  readonly message?: 'seq' | 'root' | 'replyTo';
  /** The field of the input that is a mark. A mark of an old epoch moves nothing. */
  readonly mark?: 'seq';
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  /** The errors of this command, besides those of all: invalid, rate_limited, overloaded, unavailable, internal. */
  readonly errors: readonly ErrorCode[];
}

export type Declarations = Readonly<Record<string, CommandSchema>>;

export const pageLimit = z.int().min(1).max(limits.pageSize).default(50);
export const cursor = z.string().min(1).max(200).describe('as an answer before gave it');
export const aRoom = z.object({ room: roomId });
export const aMember = z.object({ room: roomId, user: userId });
export const newRole = role.exclude(['owner']);
/** The errors of commands that only some roles may give. */
export const managing = ['not_found', 'not_member', 'forbidden'] as const;
