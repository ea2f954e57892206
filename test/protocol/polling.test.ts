import { afterAll, beforeAll, expect } from 'vitest';
import { startConformance, type Conformance } from './conformance.ts';
import { cover } from './cover.ts';
import { begin, openRawHttp, path, pollingQuery, raw, request, type Answer, type Pending, type Raw } from './http.ts';
import { framesOf, openPolling, payload, type Frame } from './lines.ts';

let server: Conformance;

beforeAll(async () => {
  server = await startConformance();
});
afterAll(() => server?.stop());

const maxPayload = 100_000;
const badRequest = { code: 3, message: 'Bad request' };
const unknownSession = { code: 1, message: 'Session ID unknown' };

/** A session past CONNECT whose requests are made one by one. */
class Session {
  readonly query: string;

  private constructor(sid: string) {
    this.query = `${pollingQuery}&sid=${sid}`;
  }

  static async open(): Promise<Session> {
    const session = new Session((await openPolling(server.url)).sid);
    await session.post('40');
    await session.get();
    return session;
  }

  get(): Promise<Answer> {
    return request(server.url, { query: this.query });
  }

  /** A GET that is held: the POST behind it is answered, so it has arrived. */
  async hold(): Promise<Pending> {
    const pending = begin(server.url, { query: this.query });
    // written before the POST's connection is even opened
    await new Promise<void>((resolve) => pending.request.once('finish', resolve));
    await this.post('3');
    return pending;
  }

  post(body: string | readonly string[]): Promise<Answer> {
    return request(server.url, { method: 'POST', query: this.query, body });
  }

  /** A POST of which this and no more comes. */
  async beginPost(part: string): Promise<Raw> {
    const socket = openRawHttp(server.url);
    const head = `POST ${path}?${this.query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n`;
    await socket.write(head + part);
    return socket;
  }

  /** The frames of the next GETs until there are so many. */
  async frames(count: number): Promise<Frame[]> {
    const frames: Frame[] = [];
    while (frames.length < count) frames.push(...framesOf((await this.get()).body));
    return frames;
  }

  async expectClosed(): Promise<void> {
    for (const answer of [await this.get(), await this.post('40')]) {
      expect([answer.status, JSON.parse(answer.body)]).toEqual([400, unknownSession]);
    }
  }

  async close(): Promise<void> {
    await this.post('1');
  }
}

function expectBadRequest({ status, body }: Answer): void {
  expect([status, JSON.parse(body)]).toEqual([400, badRequest]);
}

cover('Long-polling', {
  'several packets in one POST': async () => {
    const session = await Session.open();
    const answer = await session.post(payload('42["message",1]', '42["message",2]', '3', '42["message",3]'));
    expect(answer).toMatchObject({ status: 200, body: 'ok' });
    expect(await session.frames(3)).toEqual([1, 2, 3].map((n) => `42["message-back",${n}]`));
    await session.close();
  },
  'several packets to send': async () => {
    const session = await Session.open();
    await session.post('42["message",1]');
    await session.post('42["message",2]');
    expect((await session.get()).body).toBe('42["message-back",1]\x1e42["message-back",2]');
    await session.close();
  },
  'nothing to send': async () => {
    const session = await Session.open();
    const held = await session.hold();
    await session.post('42["message","x"]');
    expect((await held.answer).body).toBe('42["message-back","x"]');
    await session.close();
  },
  'binary, as `b` and base64': async () => {
    const session = await Session.open();
    const bytes = Buffer.from([0, 1, 2, 250, 255]);
    await session.post(payload('451-["message",{"_placeholder":true,"num":0}]', bytes));
    expect((await session.get()).body).toBe(`451-["message-back",{"_placeholder":true,"num":0}]\x1ebAAEC+v8=`);
    // a payload's end needs no padding
    await session.post('451-["message",{"_placeholder":true,"num":0}]\x1ebAAEC+v8');
    expect(await session.frames(2)).toEqual([expect.any(String), bytes]);
    // the Java client breaks it into lines
    await session.post('451-["message",{"_placeholder":true,"num":0}]\x1ebAAE\r\nC+v8\n=\n');
    expect(await session.frames(2)).toEqual([expect.any(String), bytes]);
    await session.close();
  },
  'text of many bytes a character': async () => {
    const session = await Session.open();
    const text = 'Grüße 👋 \u2028 漢字';
    await session.post(`42["message","${text}"]`);
    expect((await session.get()).body).toBe(`42["message-back","${text}"]`);
    await session.close();
  },
  'a second GET while one waits': async () => {
    const session = await Session.open();
    const held = await session.hold();
    expectBadRequest(await session.get());
    expect(await held.answer).toMatchObject({ status: 200, body: '1' });
    await session.expectClosed();
  },
  'a second POST while one is read': async () => {
    const session = await Session.open();
    const held = await session.hold();
    const slow = await session.beginPost('42["message",1]');
    expectBadRequest(await session.post('42["message",2]'));
    expect((await held.answer).body).toBe('1');
    await session.expectClosed();
    await slow.write(' '.repeat(100));
    slow.destroy();
  },
  'a GET that its client drops': async () => {
    const session = await Session.open();
    const held = await session.hold();
    held.request.destroy();
    await expect(held.answer).rejects.toThrow();
    // until the server has seen it, another GET is one too many, which closes the session as well
    expect((await session.get()).status).toBe(400);
    await session.expectClosed();
  },
  'a POST that its client drops': async () => {
    const session = await Session.open();
    const held = await session.hold();
    const dropped = await session.beginPost('42["message",1]\x1e');
    dropped.destroy();
    expect((await held.answer).body).toBe('1');
    await session.expectClosed();
  },
  'a POST over `maxPayload`, chunked or not': async () => {
    const most = await Session.open();
    const frame = `42["message","${'x'.repeat(maxPayload - 16)}"]`;
    expect((await most.post(frame)).status).toBe(200);
    await most.close();

    const said = await Session.open();
    const held = await said.hold();
    expect((await said.post(`${frame} `)).status).toBe(413);
    expect((await held.answer).body).toBe('1');
    await said.expectClosed();

    const chunked = await Session.open();
    expect((await chunked.post([frame, ' '])).status).toBe(413);
    await chunked.expectClosed();
  },
  'a POST longer than it said': async () => {
    const session = await Session.open();
    const head = `POST ${path}?${session.query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n`;
    const answers = await raw(server.url, `${head}42["message",1]\x1e42["message",2]`);
    expect(answers).toMatch(/HTTP\/1\.1 (400|505) /);
    expect(await session.frames(1)).toEqual(['42["message-back",1]']);
    await session.close();
  },
  'a POST whose packets are none: empty, of an unknown type, bad base64': async () => {
    for (const body of ['', 'abc', '7', '4\x1e', '\x1e4', 'b$$$', 'bAA=A', 'b====', '42["message",1]\x1ex']) {
      const session = await Session.open();
      const held = await session.hold();
      expectBadRequest(await session.post(body));
      expect((await held.answer).body).toBe('1');
      await session.expectClosed();
    }
  },
  '`1`': async () => {
    const session = await Session.open();
    const held = await session.hold();
    expect(await session.post('1')).toMatchObject({ status: 200, body: 'ok' });
    expect((await held.answer).body).toBe('6');
    await session.expectClosed();
  },
  'messages while no GET waits': async () => {
    const session = await Session.open();
    for (let n = 0; n < 20; n++) await session.post(`42["message",${n}]`);
    expect(await session.frames(20)).toEqual(Array.from({ length: 20 }, (_, n) => `42["message-back",${n}]`));
    await session.close();
  },
});
