import { createServer, type AddressInfo } from 'node:net';
import { errorCode, listenFailure } from '../startup-error.ts';

/**
 * Binds the port exclusively and frees it again. Workers share their port (SO_REUSEPORT), and would share it with workers of
 * another installation too. While workers listen, the kernel refuses a server without workers, and this check refuses
 * another parent process.
 *
 * @returns the port, picked by the system for 0
 * @throws {StartupError} if another process has the port
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
