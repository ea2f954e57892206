/** Runs each example of `examples/` as its users do, against a started server. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { expect, inject, it, onTestFinished } from 'vitest';
import { makeKey } from '../api/keys-routes.ts';
import { stage } from '../stage.ts';
import { until } from '../support/until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const redisUrl = inject('redisUrl');
const prefix = `examples-${crypto.randomUUID()}`;
const { server, sql, people, room } = await stage({
  people: ['owner', 'ann'],
  config: {
    REDIS_URL: redisUrl,
    PARLEY_SOCKETIO_KEY: prefix,
    PARLEY_REDIS_PREFIX: prefix,
    PARLEY_OUTGOING_NETWORKS: '127.0.0.1',
  },
});
const key = await makeKey(sql, { scopes: ['rooms', 'publish', 'messages:read', 'tokens', 'webhooks'] });
const orders = await room('channel');
const env = {
  ...process.env,
  PARLEY_URL: server.url,
  PARLEY_KEY: key.text,
  PARLEY_ROOM: orders,
  DATABASE_URL: server.database.url,
  REDIS_URL: redisUrl,
  PARLEY_SOCKETIO_KEY: prefix,
};

/** @returns the lines of the output; rejects with the error output if the program fails */
async function run(program: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(program, args, { cwd: root, env, timeout: 50_000 });
  return stdout.trim().split('\n');
}

const arrival = (text: string): Promise<unknown> =>
  people.ann.event('message', ({ body }) => (body as { text?: string }).text === text);

/** TEST_PYTHON names a Python with the packages. */
const python = process.env['TEST_PYTHON'] ?? 'python3';
const hasPython = (name: string): boolean => spawnSync(python, ['-c', `import ${name}`]).status === 0;

it('curl: makes a room, and publishes a message once', async () => {
  const made = `${orders}-curl`;
  const { stdout } = await promisify(execFile)('sh', ['examples/curl/publish.sh'], {
    cwd: root,
    env: { ...env, PARLEY_ROOM: made },
  });
  const [created, first, again, page] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(created).toMatchObject({ room: { id: made } });
  expect(first).toMatchObject({ seq: 1 });
  expect(again).toEqual(first);
  expect(page).toMatchObject({ items: [{ seq: 1, body: { text: 'Order 17 is paid' } }] });
});

it('Node.js: publishes a batch, and follows the room', async () => {
  const lines = await run('node', 'examples/node/publish.js');
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^stored \d+ \d+ \d+$/);
  expect(lines.slice(1).map((line) => line.replace(/\d+/, 'n'))).toEqual(
    ['packed', 'sent', 'delivered'].map((state) => `read n Order 17 is ${state}`),
  );
  await arrival('Order 17 is delivered');
});

it('Node.js: sends an event through Redis', async () => {
  expect(await run('node', 'examples/node/live-event.js')).toEqual(['sent']);
  await until('the event has come', () =>
    people.ann.events.some(({ name, data }) => name === 'order:paid' && (data as { id: number }).id === 17),
  );
});

it('SQL: publishes in a transaction, and leaves nothing after a rollback', async () => {
  const lines = await run('psql', server.database.url, '-v', `room=${orders}`, '-f', 'examples/sql/paid-order.sql');
  expect(lines.join('\n')).toContain('ROLLBACK');
  await arrival('Order 20 is paid');
  const page = await people.owner.ok('history', { room: orders, limit: 100 });
  expect(page.messages.map(({ body }) => (body as { text: string }).text)).not.toContain('Order 21 is paid');
});

function startBot() {
  const child = spawn('node', ['examples/bot/answer-mentions.js'], { cwd: root, env });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => output.push(String(data)));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    ready: () =>
      until(
        () => `the bot is ready: ${output.join('')}`,
        () => output.join('').includes('ready'),
      ),
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

const answers = () => people.ann.received('message').filter(({ from }) => from === 'helper');
const send = (words: string) =>
  people.ann.ok('message:send', { room: orders, id: crypto.randomUUID(), body: { text: words } });

it('a bot answers each mention once, also those from before its start', async () => {
  const first = startBot();
  await first.ready();
  await send('@helper good morning');
  await until('the first answer', () => answers().length === 1);
  expect(await first.stop()).toBe(0);
  const { seq } = await send('are you there, @helper?');
  const second = startBot();
  await second.ready();
  await until('the second answer', () => answers().length === 2);
  expect(answers()).toMatchObject([
    { body: { text: 'You said: good morning' } },
    { body: { text: 'You said: are you there, ?' }, replyTo: seq },
  ]);
  expect(await second.stop()).toBe(0);
});

it.runIf(hasPython('requests'))('Python: publishes over REST (where `requests` is installed)', async () => {
  const lines = await run(python, 'examples/python/publish.py');
  expect(lines.map((line) => line.replace(/\d+/, 'n'))).toEqual([
    'stored n',
    'stored n',
    'read n Order 18 is packed',
    'read n Order 18 is sent',
  ]);
  await arrival('Order 18 is sent');
});

it.runIf(hasPython('psycopg'))('Python: publishes in a transaction (where `psycopg` is installed)', async () => {
  const lines = await run(python, 'examples/python/transaction.py');
  expect(lines[0]).toMatch(/^stored \d+$/);
  expect(lines[1]).toBe('rolled back: the order does not exist');
  await arrival('Order 19 is paid');
});

async function webhookRoute(path: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { authorization: `Bearer ${key.text}`, 'content-type': 'application/json' };
  const response = await fetch(`${server.url}/api/v1/webhooks${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return (await response.json()) as Readonly<Record<string, unknown>>;
}

it.each([
  ['Node.js', 'node', 'examples/node/webhook.js'],
  ['Python', python, 'examples/python/webhook.py'],
])('%s: receives webhooks, and refuses other requests', async (_name, program, file) => {
  // the address is known after the receiver has started, which needs the secret before
  const { webhook, secret } = await webhookRoute('', { url: 'https://example.com/' });
  const { id } = webhook as { id: string };
  const child = spawn(program, [file], {
    cwd: root,
    env: { ...env, PORT: '0', PARLEY_WEBHOOK_SECRET: String(secret) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const port = await until('the receiver listens', () => /listening (\d+)/.exec(output)?.[1]);
  const url = `http://127.0.0.1:${port}/`;
  await sql`update webhooks set url = ${url} where id = ${id}::uuid`;
  expect(await webhookRoute(`/${id}/test`, {})).toMatchObject({ event: 'webhook.test' });
  await until('the event is printed', () => output.includes('webhook.test') || undefined);
  const forged = await fetch(url, {
    method: 'POST',
    headers: {
      'webhook-id': 'x',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': 'v1,AAAA',
    },
    body: '{}',
  });
  expect(forged.status).toBe(401);
  await until('the delivery is noted', async () => {
    const [row] = await sql`select state, attempts from webhook_deliveries where webhook = ${id}::uuid`;
    return row?.['state'] === 'delivered' || undefined;
  });
});
