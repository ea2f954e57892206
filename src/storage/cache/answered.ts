import { NoAnswer } from '../../jobs/within.ts';

/**
 * The answer of Redis, if it comes in time. A process that was busy itself has the answer in its socket: the event loop reads
 * sockets between a timer and `setImmediate`.
 */
export async function answered<T>(ms: number, sending: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => setImmediate(() => setImmediate(() => reject(new NoAnswer(ms)))), ms);
  });
  try {
    return await Promise.race([sending, late]);
  } finally {
    clearTimeout(timer);
  }
}
