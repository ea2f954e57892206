/**
 * Parley cannot start, for a reason its operator can mend. The message is one line meant for the terminal: what is
 * wrong and where, never a password. `main.ts` prints it without a stack and exits with 1.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

/** The code of a system or Postgres error (`ECONNREFUSED`, `28P01`), or its message where it has none. */
export function errorCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return String(error);
}

/** The same words whoever finds it out: a server that is alone, or the parent of several. */
export function portInUse(host: string, port: number): StartupError {
  return new StartupError(`Port ${port} on ${host} is in use or may not be used; set PORT to another one.`);
}
