/**
 * node --import tsx bench/fetch.ts [--seconds 5] [--connections 50] [--rounds 3]                       (needs `wrk`)
 * Requests a second of `GET` with 1 KB of JSON, by `wrk` with one thread on the same machine. The forms are
 * uWebSockets.js itself, a Hono app on the bridge (src/api/bridge/), and the same app with the `Request` and `Response` of Node. Each server is a process
 * of its own, and the rounds alternate. `--serve FORM` starts one server.
 */
import { execFileSync, fork } from 'node:child_process';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Hono } from 'hono';
import uWS, { type TemplatedApp } from 'uWebSockets.js';
import { serveFetch } from '../src/api/bridge/bridge.ts';
import { ClientAddress } from '../src/http/client-address.ts';

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
    serve: { type: 'string' },
  },
});

const text = 'x'.repeat(1000);
const value = { id: 1, text };
const path = '/api/rooms/hall/messages?limit=20';

const hono = new Hono().basePath('/api');
hono.get('/rooms/:room/messages', async (c) => {
  await Promise.resolve();
  return c.json({ ...value, room: c.req.param('room'), limit: c.req.query('limit') });
});
const withHeaders = new Hono().basePath('/api');
withHeaders.use(async (c, next) => {
  await next();
  c.header('x-request-id', c.req.header('x-request-id') ?? 'none');
  c.header('ratelimit', '"read";r=10;t=1');
});
withHeaders.route('/', hono);
withHeaders.get('/rooms/:room/messages', (c) => c.json(value));

const forms: Record<string, (app: TemplatedApp) => void> = {
  uWS: (app) =>
    void app.get('/api/*', (res) => {
      const body = JSON.stringify({ ...value, room: 'hall', limit: '20' });
      res.writeHeader('Content-Type', 'application/json').end(body);
    }),
  bridge: (app) => serveFetch(app, '/api', hono.fetch, options),
  'bridge with headers': (app) => serveFetch(app, '/api', withHeaders.fetch, options),
  naive: (app) => void app.any('/api/*', naive),
};
const options = {
  clientAddress: new ClientAddress([]),
  maxBodyBytes: 1000,
  failed: (error: unknown) => console.error(error),
};

/** The shortest bridge that is right for this one request. */
function naive(res: uWS.HttpResponse, req: uWS.HttpRequest): void {
  let aborted = false;
  res.onAborted(() => {
    aborted = true;
  });
  const headers = new Headers();
  req.forEach((name, written) => headers.append(name, written));
  const url = `http://${req.getHeader('host')}${req.getUrl()}?${req.getQuery()}`;
  const request = new Request(url, { method: req.getMethod().toUpperCase(), headers });
  const run = async (): Promise<void> => {
    const response = await hono.fetch(request);
    const body = await response.arrayBuffer();
    if (aborted) return;
    res.cork(() => {
      res.writeStatus(`${response.status} OK`);
      response.headers.forEach((written, name) => void res.writeHeader(name, written));
      res.end(body);
    });
  };
  void run();
}

if (args.serve === undefined) await compare();
else serve(args.serve);

function serve(form: string): void {
  const app = uWS.App();
  forms[form]?.(app);
  app.listen('127.0.0.1', 0, (socket) => {
    process.send?.(socket === false ? 0 : uWS.us_socket_local_port(socket as never));
  });
  process.on('message', () => process.send?.(process.cpuUsage()));
  process.on('disconnect', () => process.exit());
}

async function compare(): Promise<void> {
  const rates = new Map<string, Measured[]>(Object.keys(forms).map((form) => [form, []]));
  console.log(`load before: ${loadavg()[0]?.toFixed(2)}`);
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const [form, all] of rates) all.push(await measure(form));
  }
  const rate = (form: string): number => median((rates.get(form) ?? []).map(({ perSecond }) => perSecond));
  for (const [form, all] of rates) {
    const seconds = all.map(({ perSecond }) => perSecond);
    const range = `${Math.min(...seconds).toFixed(0)} to ${Math.max(...seconds).toFixed(0)}`;
    console.log(
      `${form.padEnd(20)} ${rate(form).toFixed(0).padStart(7)} req/s (${range}), ` +
        `${(rate(form) / rate('uWS')).toFixed(2)} of uWS, ${(rate(form) / rate('naive')).toFixed(1)} × naive, ` +
        `${median(all.map(({ cpuUs }) => cpuUs)).toFixed(1)} µs of CPU a request`,
    );
  }
  console.log(`load after: ${loadavg()[0]?.toFixed(2)}`);
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

interface Measured {
  readonly perSecond: number;
  /** The processor time of the server, with the kernel. Other processes of the machine change this figure less. */
  readonly cpuUs: number;
}

async function measure(form: string): Promise<Measured> {
  const child = fork(fileURLToPath(import.meta.url), ['--serve', form]);
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (got) => resolve(Number(got)));
    child.once('exit', () => reject(new Error(`the server ${form} has ended`)));
  });
  const url = `http://127.0.0.1:${port}${path}`;
  const wrk = (seconds: string): string =>
    execFileSync('wrk', ['-t1', `-c${args.connections}`, `-d${seconds}s`, url], { encoding: 'utf8' });
  const cpu = (): Promise<NodeJS.CpuUsage> =>
    new Promise((resolve) => {
      child.once('message', (got) => resolve(got as NodeJS.CpuUsage));
      child.send('cpu');
    });
  wrk('1');
  const before = await cpu();
  const report = wrk(args.seconds);
  const after = await cpu();
  child.disconnect();
  if (/Non-2xx|Socket errors/.test(report)) throw new Error(report);
  const used = after.user + after.system - before.user - before.system;
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(report)?.[1]),
    cpuUs: used / Number(/(\d+) requests in/.exec(report)?.[1]),
  };
}
