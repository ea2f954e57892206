/** Every number that a command takes, at its bounds and one beyond them: the bound of the schema is that of the column. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { numberInputs, type NumberInput } from './inputs.ts';

const named = { room: 'numbers', user: 'ben' };
const inputs = numberInputs();
let server: TestServer;
let ann: StockClient;

beforeAll(async () => {
  server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '100000', PARLEY_COMMAND_BURST: '100000' });
  ann = await connectStock(server.url, await tokenOf('ann'));
  const ben = await connectStock(server.url, await tokenOf('ben'));
  await ann.ok('room:create', { kind: 'group', name: 'Numbers', id: named.room });
  await ann.ok('room:invite', named);
  await ann.ok('message:send', text(named.room, { text: 'one' }));
  await ann.ok('message:edit', { room: named.room, seq: 1, body: { text: 'two' } });
  await ann.ok('message:send', { ...text(named.room, { text: 'a reply' }), replyTo: 1 });
  ben.close();
});
afterAll(async () => {
  ann.close();
  await server.stop();
});

/** `ok`, or the code of the error. */
async function outcome({ command, withNumber }: NumberInput, value: number): Promise<string> {
  const ack = (await ann.socket.timeout(15_000).emitWithAck(command, withNumber(value, named))) as {
    ok: boolean;
    error?: { code: string };
  };
  return ack.ok ? 'ok' : (ack.error?.code ?? 'no code');
}

it('finds the numbers', () => {
  expect(inputs.length).toBeGreaterThan(40);
  expect(inputs.map(({ command, key }) => `${command} ${key}`)).toEqual(
    expect.arrayContaining(['sync cursors.*', 'room:update editWindow', 'message:versions before', 'history limit']),
  );
});

describe.each(inputs.map((input) => [`${input.command} ${input.key}`, input] as const))('%s', (_, input) => {
  it('has bounds', () => {
    expect(input.minimum).toBeTypeOf('number');
    expect(input.maximum).toBeTypeOf('number');
  });

  it.each([
    ['least', (one: NumberInput) => one.minimum],
    ['most', (one: NumberInput) => one.maximum],
  ] as const)('at its %s is handled', async (_bound, of) => {
    const reported = await outcome(input, of(input) ?? NaN);
    expect(['ok', 'not_found', 'forbidden', 'conflict', 'not_member', 'limit_reached']).toContain(reported);
  });

  it.each([
    ['below its least', (one: NumberInput) => (one.minimum ?? NaN) - 1],
    ['above its most', (one: NumberInput) => (one.maximum ?? NaN) + 1],
    ['a fraction', () => 1.5],
  ] as const)('%s is refused', async (_bound, of) => {
    expect(await outcome(input, of(input))).toBe('invalid');
  });
});
