/** Pages with the SDK alone, of the origin of a real server: several tabs of one browser. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { build } from 'vite';
import { startServer, tokenOf } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { total } from '../support/metrics.ts';
import { until } from '../support/until.ts';
import { launch } from './chromium.ts';
import type { Lab } from './lab-page.ts';

export class Tab {
  readonly page: Page;
  /** WebSockets this tab has opened. */
  sockets = 0;

  private constructor(page: Page) {
    this.page = page;
    page.on('websocket', () => (this.sockets += 1));
  }

  static async open(context: BrowserContext, url: string): Promise<Tab> {
    const tab = new Tab(await context.newPage());
    tab.page.setDefaultTimeout(30_000);
    await tab.page.goto(`${url}/lab.html`);
    return tab;
  }

  call<K extends keyof Lab>(name: K, ...args: Parameters<Lab[K]>): Promise<Awaited<ReturnType<Lab[K]>>> {
    return this.page.evaluate(`lab[${JSON.stringify(name)}](...${JSON.stringify(args)})`);
  }

  async connected(): Promise<void> {
    await until('the tab is connected', async () => (await this.call('status')) === 'connected');
  }

  async holds(room: string, bodies: unknown[]): Promise<void> {
    const expected = JSON.stringify(bodies);
    let found = '';
    const holds = until('the tab holds the messages', async () => {
      found = JSON.stringify(await this.call('bodies', room));
      return found === expected;
    });
    await holds.catch((error: Error) => {
      throw new Error(`${error.message}: ${found} instead of ${expected}`);
    });
  }
}

export interface LabStage {
  readonly server: TestServer;
  /** A browser profile of its own, in which all tabs share what tabs share; gone after the test. */
  profile(): Promise<BrowserContext>;
  tab(profile: BrowserContext, user?: string, options?: Parameters<Lab['start']>[1]): Promise<Tab>;
  /** Connections that the server has now. */
  connections(): Promise<number>;
}

/** @param entry the module of the page */
export async function bundled(entry: string, alias: Record<string, string> = {}): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias },
    build: { write: false, minify: false, lib: { entry, formats: ['es'], fileName: 'lab' } },
  });
  const [result] = Array.isArray(built) ? built : [built];
  const chunk = result !== undefined && 'output' in result ? result.output[0] : undefined;
  if (chunk === undefined) throw new Error('vite built nothing');
  return chunk.code;
}

export function useLab(entry: string, alias: Record<string, string> = {}): LabStage {
  let server: TestServer | undefined;
  let browser: Browser | undefined;
  let code = '';
  const profiles: BrowserContext[] = [];
  beforeAll(async () => {
    [server, browser, code] = await Promise.all([
      startServer({ PARLEY_PING_INTERVAL_MS: '5000', PARLEY_PING_TIMEOUT_MS: '5000' }),
      // The pages come from the test, not from an address: Chromium would not let them speak to this machine.
      launch(['--disable-features=LocalNetworkAccessChecks']),
      bundled(entry, alias),
    ]);
  });
  afterEach(async () => {
    for (const profile of profiles.splice(0)) await profile.close();
    // The heartbeat ends the connections of frozen tabs.
    await until('all connections are gone', async () => (await stage.connections()) === 0, 30_000);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });
  const started = (): { server: TestServer; browser: Browser } => {
    if (server === undefined || browser === undefined) throw new Error('the lab is there within tests only');
    return { server, browser };
  };
  const stage: LabStage = {
    get server() {
      return started().server;
    },
    async profile() {
      const profile = await started().browser.newContext();
      profiles.push(profile);
      const { url } = started().server;
      await profile.route(`${url}/lab.html`, (route) =>
        route.fulfill({
          contentType: 'text/html',
          body: '<!doctype html><title>lab</title><div id="app"></div><script type="module" src="/lab.js"></script>',
        }),
      );
      await profile.route(`${url}/lab.js`, (route) => route.fulfill({ contentType: 'text/javascript', body: code }));
      return profile;
    },
    async tab(profile, user, options) {
      const tab = await Tab.open(profile, started().server.url);
      if (user !== undefined) await tab.call('start', await tokenOf(user, { name: user }), options ?? {});
      return tab;
    },
    connections: async () => total(await started().server.metrics(), 'parley_connections'),
  };
  return stage;
}
