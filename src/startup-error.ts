/** Parley cannot start as it is configured. `message` is one clear line for the operator; the process ends with code 1. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
