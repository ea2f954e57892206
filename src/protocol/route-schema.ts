/** The form of the declaration of a route of REST that is not a command. The files of `routes/` have the declarations. */
import type { z } from 'zod';
import type { CommandKind } from './command-schema.ts';
import type { ErrorCode } from './errors.ts';
import type { HttpRoute } from './http-route.ts';
import type { RestErrorCode } from './rest-errors.ts';
import type { Scope } from './scopes.ts';

export interface RouteSchema {
  readonly about: string;
  readonly kind: CommandKind;
  /** The units that the request takes of the rates of its caller. */
  readonly weight: number;
  /** The field of the input whose entries take the weight each. Absent: the request takes the weight once. */
  readonly batch?: string;
  /** The scope that an API key needs; null: the route needs none. */
  readonly scope: Scope | null;
  /** `anyone`: also requests without a token or key. `key`: API keys alone. `user`: tokens, and keys that name a user. */
  readonly callers: 'anyone' | 'caller' | 'key' | 'user';
  readonly http: HttpRoute | readonly HttpRoute[];
  /** The handler counts the requests itself, so that the rates of requests do not apply. */
  readonly ownRate?: true;
  /**
   * Clients that are older than the problems use the route. The body is JSON with any Content-Type. A failure has the field
   * `error` beside the fields of a problem.
   */
  readonly lenient?: true;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly errors: readonly (ErrorCode | RestErrorCode)[];
  /** The type of the answer, unless it is JSON. */
  readonly produces?: string;
  /** The type of the body, unless it is JSON. The handler reads such a body as a stream. */
  readonly consumes?: string;
  /** A request without bytes in such a body is refused. */
  readonly needsBody?: true;
}

export type RouteDeclarations = Readonly<Record<string, RouteSchema>>;
