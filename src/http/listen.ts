/** Listens on a port: the public one, or the one of operators. */
import uWS, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { listenFailure } from '../startup-error.ts';
import { claimPort } from './port.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Whether other workers share the port. */
const listenOptions = { shared: 0, alone: 1 } as const;

export function listen(
  app: TemplatedApp,
  { host, port: wanted }: Address,
  alone: boolean,
): Promise<{ url: string; socket: us_listen_socket }> {
  return new Promise((resolve, reject) => {
    const listening = (socket: us_listen_socket | false): void => {
      if (socket === false) {
        // uWS gives no reason; the port may be free again
        claimPort(host, wanted).then(() => reject(listenFailure(host, wanted, 'EADDRINUSE')), reject);
        return;
      }
      const port = uWS.us_socket_local_port(socket as never);
      const shown = host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
      resolve({ url: `http://${shown}:${port}`, socket });
    };
    // By default uWS shares the port, and a second server started by mistake would get no error. The types of uWS lack
    // the form with a host and options.
    const listenWith = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      done: typeof listening,
    ) => void;
    listenWith(host, wanted, alone ? listenOptions.alone : listenOptions.shared, listening);
  });
}
