/** A command is its declaration and its handler, and the dispatcher needs nothing else. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { Admission } from '../../src/commands/admission.ts';
import { Commands } from '../../src/commands/dispatcher.ts';
import { Refusals } from '../../src/commands/refusals.ts';
import { commandTable, type HandlersOf } from '../../src/commands/table.ts';
import type { Connection } from '../../src/hub/connection.ts';
import { Connections } from '../../src/hub/connections.ts';
import { LoadShedding } from '../../src/commands/load-shedding.ts';
import { Unsent } from '../../src/hub/unsent.ts';
import { UserShares } from '../../src/commands/user-shares.ts';
import type { Declarations } from '../../src/protocol/command-schema.ts';
import { renderProtocol } from '../../src/protocol/document.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openConnection } from '../support/connection.ts';
import { closedGate, type Gate } from '../support/gate.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

const text = z.string().max(5);

const declarations = {
  'note:keep': {
    about: 'Keeps an imaginary note.',
    kind: 'write',
    weight: 7,
    scope: 'publish',
    http: { method: 'PUT', path: '/note' },
    input: z.object({ text: text.default('empty') }),
    output: z.object({ text, by: z.string() }),
    errors: ['conflict'],
  },
  'note:read': {
    about: 'Reads the imaginary note.',
    kind: 'read',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'GET', path: '/note' },
    answer: 'page',
    input: z.object({}),
    output: z.object({ text }),
    errors: [],
  },
} as const satisfies Declarations;

let gates: { keep: Gate; read: Gate };
const handlers: HandlersOf<typeof declarations> = {
  'note:keep': async ({ user }, input) => {
    await gates.keep.opened;
    return { text: input.text, by: user.id };
  },
  'note:read': async () => {
    await gates.read.opened;
    return { text: 'kept' };
  },
};

let connection: Connection;
let sent: unknown[];
let commands: Commands;
const ends: { stop(): void }[] = [];

beforeEach(() => {
  gates = { keep: closedGate(), read: closedGate() };
  ({ connection, sent } = openConnection(10));
  const user = new Connections().identify(connection, 'ann', 'Ann');
  connection.state = 'ready';
  const metrics = new Metrics();
  const much = 1e9;
  const settings = {
    // as long as the test runs, nothing comes back
    commandsPerSecond: 1e-6,
    commandBurst: 10,
    maxRefusedCommands: 100,
    maxPendingCommands: 100,
    readsAtOncePerUser: 4,
    databaseReadWaitMs: 10_000,
    commandsPerSecondPerUser: much,
    commandBurstPerUser: much,
    signalsPerSecondPerUser: much,
    signalBurstPerUser: much,
    bytesInPerSecondPerUser: much,
    bytesOutPerSecondPerUser: much,
    commandsPerSecondPerAddress: much,
    softBufferedBytes: much,
    maxUnsentBytesPerUser: much,
    maxUnsentBytesPerAddress: much,
    maxEventLoopDelayMs: much,
    maxMemoryBytes: 1e15,
  };
  const loadShedding = new LoadShedding(settings, { relief: { relieve: () => 0 }, metrics });
  const shares = new UserShares(settings, metrics, () => user);
  ends.push(loadShedding, shares);
  const unsent = new Unsent(settings, metrics);
  const writer = { crowded: false, isFull: () => false, refuses: () => false };
  const refusals = new Refusals();
  ends.push(refusals);
  commands = new Commands({
    table: commandTable<typeof declarations, never>({ declarations, handlers, ofConnection: {}, around: {} }, metrics),
    limits: settings,
    admission: new Admission({ limits: settings, loadShedding, unsent, shares, writer, refusals, metrics }),
    unsent,
    shares,
    refusals,
    metrics,
    log: silentLog,
  });
});
afterEach(() => {
  for (const one of ends.splice(0)) one.stop();
});

const give = (ack: number, name: string, input: unknown): void =>
  commands.run(connection, { type: 'event', namespace: '/', ack: String(ack), args: [name, input] });

const answer = (ack: number): Promise<Record<string, unknown>> =>
  until(`the ack ${ack} comes`, () => {
    const frame = sent.find((one) => typeof one === 'string' && one.startsWith(`43${ack}[`)) as string | undefined;
    return frame === undefined
      ? undefined
      : (JSON.parse(frame.slice(`43${ack}`.length)) as [Record<string, unknown>])[0];
  });

describe('a command that is declared and handled', () => {
  it('is validated by its schema, and the handler gets the caller', async () => {
    gates.keep.open();
    give(1, 'note:keep', { text: 'too long' });
    expect(await answer(1)).toMatchObject({ ok: false, error: { code: 'invalid' } });
    // a refused command has taken of the rate too
    connection.credit = 10;
    give(2, 'note:keep', {});
    expect(await answer(2)).toEqual({ ok: true, text: 'empty', by: 'ann' });
    give(3, 'note:lose', {});
    expect(await answer(3)).toMatchObject({ ok: false, error: { code: 'unknown_command' } });
  });

  it('takes its weight of the rate of the connection', async () => {
    gates.keep.open();
    gates.read.open();
    give(1, 'note:keep', {});
    expect(await answer(1)).toMatchObject({ ok: true });
    expect(connection.credit).toBe(3);
    give(2, 'note:keep', {});
    expect(await answer(2)).toMatchObject({ ok: false, error: { code: 'rate_limited' } });
    for (const ack of [3, 4, 5]) {
      give(ack, 'note:read', {});
      expect(await answer(ack)).toEqual({ ok: true, text: 'kept' });
    }
    give(6, 'note:read', {});
    expect(await answer(6)).toMatchObject({ ok: false, error: { code: 'rate_limited' } });
  });

  it('is answered after a pause if its connection is over its rate, so that a repeating client gets few refusals', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    connection.credit = 0;
    for (const ack of [1, 2]) give(ack, 'note:keep', {});
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(150);
    expect(sent).toHaveLength(2);
    vi.useRealTimers();
  });

  it('is answered before a drain ends if its refusal waits', async () => {
    connection.credit = 0;
    give(1, 'note:keep', {});
    await commands.drain('all');
    expect(sent).toHaveLength(1);
  });

  it('stands in the reference page, with its kind and its weight', () => {
    const page = renderProtocol(declarations);
    expect(page).toContain('### `note:keep`\n\nKeeps an imaginary note.');
    expect(page).toContain('Errors: `conflict`\n\nKind: write. Counts as: 7.');
    expect(page).toContain('### `note:read`');
    expect(page).not.toContain('### `message:send`');
  });

  it('is refused by a drain of writes if it is a write, while reads run and begin', async () => {
    give(1, 'note:read', {});
    await commands.drain('writes');
    give(2, 'note:keep', {});
    expect(await answer(2)).toMatchObject({ ok: false, error: { code: 'draining', retryable: true } });
    give(3, 'note:read', {});
    gates.read.open();
    expect(await answer(1)).toMatchObject({ ok: true });
    expect(await answer(3)).toMatchObject({ ok: true });
    await commands.drain('all');
    give(4, 'note:read', {});
    expect(await answer(4)).toMatchObject({ ok: false, error: { code: 'draining' } });
  });

  it('is waited for by a drain of writes if it is a write', async () => {
    give(1, 'note:read', {});
    give(2, 'note:keep', {});
    let drained = false;
    const draining = commands.drain('writes').then(() => (drained = true));
    give(3, 'note:lose', {});
    expect(await answer(3)).toMatchObject({ ok: false });
    expect(drained).toBe(false);
    sent.length = 0;
    gates.keep.open();
    await draining;
    expect(sent).toEqual(['432[{"ok":true,"text":"empty","by":"ann"}]']);
    gates.read.open();
    expect(await answer(1)).toMatchObject({ ok: true });
  });

  it('is counted as a page of messages if its answer is one', () => {
    give(1, 'note:read', {});
    expect(connection).toMatchObject({ pending: 1, reading: 1 });
    give(2, 'note:keep', {});
    expect(connection).toMatchObject({ pending: 2, reading: 1 });
    gates.keep.open();
    gates.read.open();
  });
});

it('a command without a handler is a fault of types, and of the start', () => {
  const incomplete = { 'note:read': handlers['note:read'] };
  expect(() =>
    commandTable<typeof declarations, never>(
      // @ts-expect-error the handler of `note:keep` is missing
      { declarations, handlers: incomplete, ofConnection: {}, around: {} },
      new Metrics(),
    ),
  ).toThrow('The command note:keep has no handler.');
});
