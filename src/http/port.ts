import { createServer, type AddressInfo } from 'node:net';
import { errorCode, listenFailure } from '../startup-error.ts';

/**
 * Binds the port for itself alone and lets it go: workers share their port (SO_REUSEPORT), and would share it with the
 * workers of a stranger too. After it, a server that wants the port alone is refused by the kernel, and another parent
 * by this same check.
 *
 * @returns the port, picked by the system for 0
 * @throws {StartupError} when somebody has it
 */
export function claimPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      reject(listenFailure(host, port, errorCode(error)));
    });
    server.listen({ host, port, exclusive: true }, () => {
      const { port: bound } = server.address() as AddressInfo;
      server.close(() => resolve(bound));
    });
  });
}
