/** Parley in the test's own process, on a database of its own: for whatever is seen from outside through the port. */
import { startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { readMetrics, type MetricValues } from './metrics.ts';
import { testSecret } from './test-token.ts';

export { testSecret, tokenOf } from './test-token.ts';

export interface TestServer {
  readonly url: string;
  readonly database: TestDatabase;
  metrics(): Promise<MetricValues>;
  /** Stops the server and drops its database, unless it is shared. */
  stop(): Promise<void>;
}

/**
 * @param env configuration keys beside the database, the secret, the port and a silent log.
 * @param shared a database of several servers, which outlives them.
 */
export async function startServer(env: Record<string, string> = {}, shared?: TestDatabase): Promise<TestServer> {
  const database = shared ?? (await createTestDatabase());
  const drop = async (): Promise<void> => {
    if (shared === undefined) await database.drop();
  };
  const config = loadConfig({
    DATABASE_URL: database.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_LOG_LEVEL: 'silent',
    PARLEY_LOG_PRETTY: 'false',
    PARLEY_HOST: '127.0.0.1',
    PORT: '0',
    // most tests are about who is in a room, not about how they came; consent.test.ts has the default
    PARLEY_ADDING: 'direct',
    ...env,
  });
  try {
    const app = await startApp(config, (error) => {
      throw error;
    });
    return {
      url: app.url,
      database,
      metrics: () => readMetrics(app.url),
      async stop() {
        await app.stop();
        await drop();
      },
    };
  } catch (error) {
    await drop();
    throw error;
  }
}
