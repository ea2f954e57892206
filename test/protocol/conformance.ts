/** The conformance server as a process of its own. */
import { fileURLToPath } from 'node:url';
import { runServer, temporaryFolder, untilReady } from '../support/processes.ts';

const script = fileURLToPath(new URL('../conformance/server.ts', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Conformance {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Timeouts are long by default, so that a busy machine changes nothing.
 * @param options of the command line, without dashes
 */
export async function startConformance(options: Readonly<Record<string, string | number>> = {}): Promise<Conformance> {
  const all = { port: 0, ping: 25_000, timeout: 20_000, 'connect-timeout': 60_000, 'max-payload': 100_000, ...options };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = runServer(
    process.execPath,
    ['--import', 'tsx', script, ...args],
    { cwd: root },
    { signal: 'SIGTERM', folder: temporaryFolder('parley-conformance-') },
  );
  const address = (): string | undefined => /listens on (http:\/\/[^/]+)/.exec(server.output())?.[1];
  await untilReady(() => address() !== undefined, server);
  return { url: address() ?? '', stop: () => server.stop() };
}
