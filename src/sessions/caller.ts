/**
 * The caller of a command, with the caller's rights: a plain object that every entry point can make. The gateway makes one
 * for each connection and keeps it. Handlers take a caller, and never a connection.
 */
export interface Caller {
  /** The name may change while the object is kept. */
  readonly user: { readonly id: string; readonly name: string | null };
  /** The tier of the token; it decides how many messages the user may send. */
  readonly tier: string | null;
  /** Whether the token is of a back end: its commands need no consent of users. */
  readonly backend: boolean;
  /** The session of the connection that the command came by; undefined: the command came by no connection. */
  readonly session: string | undefined;
}
