/**
 * Parley cannot start, for a reason that its operator can fix. The message is one line for the terminal: the fault and its
 * place, never a password. `main.ts` prints it without a stack and exits with 1.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

/** The code of a system or Postgres error (`ECONNREFUSED`, `28P01`), or its message where it has none. */
export function errorCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return String(error);
}

/** The same text for a lone server and for the parent of several workers. */
export function listenFailure(host: string, port: number, code: string): StartupError {
  switch (code) {
    case 'EADDRINUSE':
      return new StartupError(`Port ${port} on ${host} is in use; set PORT to another port.`);
    case 'EACCES':
      return new StartupError(`Port ${port} on ${host} is not permitted for this user; set PORT to a port above 1023.`);
    case 'EADDRNOTAVAIL':
      return new StartupError(`PARLEY_HOST=${host}: this machine has no such address.`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new StartupError(`PARLEY_HOST=${host}: the name of the host is unknown (${code}).`);
    default:
      return new StartupError(`Cannot listen on ${host}, port ${port}: ${code}.`);
  }
}
