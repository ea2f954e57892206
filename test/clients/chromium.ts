/** Stock clients in pages of another origin than the server's, bundled as an application would be. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { launch } from '../browser/chromium.ts';
import { describeKind, stockKinds, transportOf, type Make } from './client.ts';
import type { Received, StockKind } from './driver.ts';

export class Chromium {
  readonly #browser: Browser;
  readonly #server: Server;
  readonly #troubles: string[] = [];
  readonly #pages = new Map<StockKind, Promise<Page>>();

  private constructor(browser: Browser, server: Server) {
    this.#browser = browser;
    this.#server = server;
  }

  static async start(): Promise<Chromium> {
    const [browser, script] = await Promise.all([launch(), bundle()]);
    const page =
      '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script src="/driver.js"></script>';
    const server = createServer((request, response) => {
      const isScript = request.url === '/driver.js';
      response.setHeader('Content-Type', isScript ? 'text/javascript; charset=utf-8' : 'text/html');
      response.end(isScript ? script : page);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Chromium(browser, server);
  }

  /** Exceptions in the pages so far. */
  get troubles(): readonly string[] {
    return this.#troubles;
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** A page with a pool of connections of its own: a browser opens six at most to one host, and a poll holds one. */
  async #page(): Promise<Page> {
    const context = await this.#browser.newContext();
    const page = await context.newPage();
    page.on('pageerror', (error) => this.#troubles.push(error.message));
    const { port } = this.#server.address() as AddressInfo;
    await page.goto(`http://localhost:${port}/`);
    return page;
  }

  async open(url: string, token: string, kind: StockKind): ReturnType<Make['open']> {
    let opening = this.#pages.get(kind);
    if (opening === undefined) {
      opening = this.#page();
      this.#pages.set(kind, opening);
    }
    const page = await opening;
    const call = <T>(name: string, ...args: unknown[]): Promise<T> =>
      page.evaluate<T>(`driver.${name}(...${JSON.stringify(args)})`);
    const id = await call<number>('open', url, token, kind);
    return {
      received: (from) => call<Received[]>('received', id, from),
      state: () => call('state', id),
      command: (name, input) => call('command', id, name, input),
      close: () => call('close', id),
    };
  }
}

/** @param chromium called when a client is opened, because the list is needed before Chromium runs */
export function chromiumMakes(chromium: () => Chromium): readonly Make[] {
  return stockKinds.map((kind) => ({
    title: `${describeKind(kind)}, in Chromium`,
    transport: transportOf(kind),
    open: (url, token) => chromium().open(url, token, kind),
  }));
}

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL('driver.ts', import.meta.url));
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, lib: { entry, formats: ['iife'], name: 'driver' } },
  });
  const [output] = Array.isArray(built) ? built : [built];
  if (output === undefined || !('output' in output)) throw new Error('the bundler gave no output');
  return output.output[0].code;
}
