/** Listening on a port, for the public listener and for the one of operators. */
import uWS, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import type { Config } from '../config/config.ts';
import { listenFailure } from '../startup-error.ts';
import { claimPort } from './port.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** In the demo guests are on and the database has no password: it is for this machine unless asked otherwise. */
export function hostOf(config: Config): string {
  return config.host ?? (config.embedded ? '127.0.0.1' : '0.0.0.0');
}

/** The port alone, or shared with other workers. */
const listenOptions = { shared: 0, alone: 1 } as const;

export function listen(
  app: TemplatedApp,
  { host, port: wanted }: Address,
  alone: boolean,
): Promise<{ url: string; socket: us_listen_socket }> {
  return new Promise((resolve, reject) => {
    const listening = (socket: us_listen_socket | false): void => {
      if (socket === false) {
        // uWS does not say why; the port may have become free meanwhile
        claimPort(host, wanted).then(() => reject(listenFailure(host, wanted, 'EADDRINUSE')), reject);
        return;
      }
      const port = uWS.us_socket_local_port(socket as never);
      const shown = host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
      resolve({ url: `http://${shown}:${port}`, socket });
    };
    // By default uWS shares the port, and a second server started by mistake would give no error. uWS takes options with
    // a host too, its types do not say so.
    const listenWith = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      done: typeof listening,
    ) => void;
    listenWith(host, wanted, alone ? listenOptions.alone : listenOptions.shared, listening);
  });
}
