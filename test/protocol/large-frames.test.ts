import { io } from 'socket.io-client';
import msgpackParser from 'socket.io-msgpack-parser';
import { afterAll, beforeAll, expect } from 'vitest';
import { connectRaw } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { cover } from './cover.ts';

const maxPayload = 32 * 1024;
let server: TestServer;
beforeAll(async () => {
  server = await startServer({ PARLEY_MAX_FRAME_BYTES: String(maxPayload) });
});
afterAll(() => server.stop());

const lengths = [maxPayload + 1, maxPayload * 4];

/** A command of so many bytes in all; its ack has the id 7. */
const frameOf = (bytes: number, ack = '7'): string => `42${ack}["x","${'y'.repeat(bytes - 10 - ack.length)}"]`;

const closedForIt = async (): Promise<number> =>
  (await server.metrics()).get('parley_connections_closed_total{reason="too_large"}') ?? 0;

cover('Frames that are too large', {
  'a text frame over `maxPayload`, no more than four times as long': async () => {
    expect(frameOf(100)).toHaveLength(100);
    const fits = await connectRaw(server.url, await tokenOf('fits'));
    fits.send(frameOf(maxPayload));
    expect(await fits.next('437')).toContain('unknown_command');
    await fits.close();
    for (const bytes of lengths) {
      const before = await closedForIt();
      const asking = await connectRaw(server.url, await tokenOf('asking'));
      asking.send(frameOf(bytes));
      expect(await asking.untilClosed()).toEqual({ code: 1009, reason: 'too_large' });
      expect(asking.frames.at(-1)).toMatch(/^437\[\{"ok":false,"error":\{"code":"too_large",/);
      const silent = await connectRaw(server.url, await tokenOf('silent'));
      const frames = silent.frames.length;
      silent.send(frameOf(bytes, ''));
      expect(await silent.untilClosed()).toEqual({ code: 1009, reason: 'too_large' });
      expect(silent.frames.slice(frames).filter((frame) => frame.startsWith('43'))).toEqual([]);
      expect(await closedForIt()).toBe(before + 2);
    }
  },
  'a binary frame over `maxPayload`, no more than four times as long': async () => {
    for (const bytes of lengths) {
      const client = await connectRaw(server.url, await tokenOf('binary'));
      client.send('451-7["x",{"_placeholder":true,"num":0}]');
      client.ws.send(Buffer.alloc(bytes));
      expect(await client.untilClosed()).toEqual({ code: 1009, reason: 'too_large' });
      expect(client.frames.filter((frame) => frame.startsWith('43'))).toEqual([]);
    }
  },
  'a frame more than four times as long as `maxPayload`': async () => {
    const before = await closedForIt();
    const client = await connectRaw(server.url, await tokenOf('huge'));
    client.send(frameOf(maxPayload * 4 + 1));
    expect((await client.untilClosed()).code).toBe(1006);
    expect(client.frames.filter((frame) => frame.startsWith('43'))).toEqual([]);
    expect(await closedForIt()).toBe(before + 1);
  },
  'a stock client with `retries`': async () => {
    for (const [form, parser] of [
      ['text', undefined],
      ['msgpack', msgpackParser],
    ] as const) {
      for (const bytes of [maxPayload + 1, maxPayload * 8]) {
        const stock = io(server.url, {
          auth: { token: await tokenOf('retrier') },
          transports: ['websocket'],
          forceNew: true,
          retries: 2,
          // without it the client takes each answer for an error
          ackTimeout: 3000,
          reconnectionDelay: 10,
          reconnectionDelayMax: 20,
          ...(parser === undefined ? {} : { parser, query: { parser: 'msgpack' } }),
        });
        let connects = 0;
        stock.on('connect', () => connects++);
        const answers: unknown[] = [];
        stock.emit('history', { room: 'x'.repeat(bytes) }, (error: unknown, answer: unknown) =>
          answers.push(answer ?? error),
        );
        stock.emit('room:list', {}, (_: unknown, answer: unknown) => answers.push(answer));
        await until(`the next command is answered too: ${form}, ${bytes} bytes`, () => answers.length === 2);
        expect(answers[1]).toMatchObject({ ok: true });
        const acked = form === 'text' && bytes <= maxPayload * 4;
        if (acked) expect(answers[0]).toMatchObject({ ok: false, error: { code: 'too_large' } });
        else expect(answers[0]).toBeInstanceOf(Error);
        // the first connection, and one for each try
        expect(connects).toBeLessThanOrEqual(4);
        stock.close();
      }
    }
  },
});
