/**
 * Short work at a fixed rate. `every` is the only user of `setInterval` in the server. An exception in a callback of a timer
 * would end the process, and system calls fail at the limit of open files. Work that waits for Postgres or Redis is a
 * PeriodicTask.
 */

/**
 * As `setInterval`, and stopped by `clearInterval`. An exception does not leave the timer. No run begins while one is under way.
 * @param failed called for the first failure in a row. Default: `main.ts` logs it as an unhandled rejection.
 */
export function every(
  work: () => void | Promise<void>,
  ms: number,
  failed: (error: Error) => void = unhandled,
): NodeJS.Timeout {
  let running = false;
  let failing = false;
  const settle = (error?: Error): void => {
    running = false;
    const first = error !== undefined && !failing;
    failing = error !== undefined;
    if (first) failed(error);
  };
  return setInterval(() => {
    if (running) return;
    running = true;
    try {
      const result = work();
      if (result === undefined) settle();
      else
        result.then(
          () => settle(),
          (error: unknown) => settle(asError(error)),
        );
    } catch (error) {
      settle(asError(error));
    }
  }, ms);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function unhandled(failure: Error): void {
  void Promise.reject(failure);
}
