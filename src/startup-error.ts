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
export function listenFailure(host: string, port: number, code: string): StartupError {
  switch (code) {
    case 'EADDRINUSE':
      return new StartupError(`Port ${port} on ${host} is in use; set PORT to another one.`);
    case 'EACCES':
      return new StartupError(`Port ${port} on ${host} may not be used by this user; set PORT to one above 1023.`);
    case 'EADDRNOTAVAIL':
      return new StartupError(`PARLEY_HOST=${host}: this machine has no such address.`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new StartupError(`PARLEY_HOST=${host}: no such host is known (${code}).`);
    default:
      return new StartupError(`Cannot listen on ${host}, port ${port}: ${code}.`);
  }
}
