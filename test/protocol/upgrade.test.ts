import { afterAll, beforeAll, expect } from 'vitest';
import { openRaw, type RawClient } from '../support/raw-client.ts';
import { startConformance, type Conformance } from './conformance.ts';
import { cover } from './cover.ts';
import { begin, pollingQuery, request, type Answer, type Pending } from './http.ts';
import { framesOf, openPolling, payload, webSocketLine, type Frame } from './lines.ts';

let server: Conformance;
let hasty: Conformance;

beforeAll(async () => {
  [server, hasty] = await Promise.all([startConformance(), startConformance({ 'upgrade-timeout': 200 })]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), hasty?.stop()]);
});

/** A long-polling session past CONNECT, and the WebSockets that would take it over. */
class Upgrading {
  readonly #url: string;
  readonly sid: string;

  private constructor(url: string, sid: string) {
    this.#url = url;
    this.sid = sid;
  }

  static async open(url = server.url): Promise<Upgrading> {
    const session = new Upgrading(url, (await openPolling(url)).sid);
    await session.post('40');
    await session.get();
    return session;
  }

  beginGet(): Pending {
    return begin(this.#url, { query: `${pollingQuery}&sid=${this.sid}` });
  }

  get(): Promise<Answer> {
    return this.beginGet().answer;
  }

  post(body: string): Promise<Answer> {
    return request(this.#url, { method: 'POST', query: `${pollingQuery}&sid=${this.sid}`, body });
  }

  candidate(): Promise<RawClient> {
    return openRaw(this.#url, { query: `EIO=4&transport=websocket&sid=${this.sid}` });
  }

  async probing(): Promise<RawClient> {
    const candidate = await this.candidate();
    candidate.send('2probe');
    expect(await candidate.next()).toBe('3probe');
    return candidate;
  }

  async upgraded(): Promise<RawClient> {
    const candidate = await this.probing();
    candidate.send('5');
    await this.expectEcho(candidate, 'up');
    return candidate;
  }

  async expectEcho(client: RawClient, text: string): Promise<void> {
    client.send(`42["message","${text}"]`);
    expect(await client.next()).toBe(`42["message-back","${text}"]`);
  }

  async expectPolling(text: string): Promise<void> {
    expect((await this.post(`42["message","${text}"]`)).status).toBe(200);
    expect((await this.get()).body).toBe(`42["message-back","${text}"]`);
  }
}

cover('Upgrade', {
  '`2probe` on a WebSocket with the `sid`': async () => {
    const session = await Upgrading.open();
    const waiting = session.beginGet();
    const candidate = await session.probing();
    expect((await waiting.answer).body).toBe('6');
    await candidate.close();
    await session.post('1');
  },
  'a GET while the probe lasts': async () => {
    const session = await Upgrading.open();
    const candidate = await session.probing();
    for (let n = 0; n < 3; n++) expect((await session.get()).body).toBe('6');
    await candidate.close();
    await session.post('1');
  },
  '`5`': async () => {
    const session = await Upgrading.open();
    const candidate = await session.probing();
    await session.post(payload('42["message",1]', '42["message",2]'));
    candidate.send('5');
    expect([await candidate.next(), await candidate.next()]).toEqual(['42["message-back",1]', '42["message-back",2]']);
    await session.expectEcho(candidate, 'more');
    await candidate.close();
  },
  'a POST while the probe lasts': async () => {
    const session = await Upgrading.open();
    const candidate = await session.probing();
    expect(await session.post('42["message","probed"]')).toMatchObject({ status: 200, body: 'ok' });
    // a GET may take it, or the WebSocket later, but not both
    expect((await session.get()).body).toBe('42["message-back","probed"]');
    candidate.send('5');
    await session.expectEcho(candidate, 'next');
    await candidate.close();
  },
  'messages before, during and after': async () => {
    const sender = await webSocketLine(server.url);
    await sender.send('40');
    const session = await Upgrading.open();
    const received: Frame[] = [];
    const take = (frames: readonly Frame[]): void => void received.push(...frames.filter((frame) => frame !== '6'));
    const pub = (n: number): Promise<void> => sender.send(`42["pub",${n}]`);
    for (let n = 0; n < 10; n++) await pub(n);
    const candidate = await session.candidate();
    for (let n = 10; n < 20; n++) await pub(n);
    take(framesOf((await session.get()).body));
    candidate.send('2probe');
    for (let n = 20; n < 30; n++) await pub(n);
    await candidate.next('3probe');
    take(framesOf((await session.get()).body));
    for (let n = 30; n < 40; n++) await pub(n);
    candidate.send('5');
    for (let n = 40; n < 50; n++) await pub(n);
    while (received.at(-1) !== '42["message",49]') take([await candidate.next()]);
    expect(received).toEqual(Array.from({ length: 50 }, (_, n) => `42["message",${n}]`));
    await Promise.all([candidate.close(), sender.close()]);
  },
  'a second WebSocket while one probes': async () => {
    const session = await Upgrading.open();
    const first = await session.probing();
    const second = await session.candidate();
    await second.untilClosed();
    expect(second.frames).toEqual([]);
    first.send('5');
    await session.expectEcho(first, 'still');
    await first.close();
  },
  'a WebSocket with the `sid` of a session that has upgraded': async () => {
    const session = await Upgrading.open();
    const upgraded = await session.upgraded();
    const late = await session.candidate();
    await late.untilClosed();
    expect(late.frames).toEqual([]);
    await session.expectEcho(upgraded, 'still');
    await upgraded.close();
  },
  'GET and POST of a session that has upgraded': async () => {
    const session = await Upgrading.open();
    const upgraded = await session.upgraded();
    for (const answer of [await session.get(), await session.post('42["message","late"]')]) {
      expect([answer.status, JSON.parse(answer.body)]).toEqual([400, { code: 3, message: 'Bad request' }]);
    }
    await session.expectEcho(upgraded, 'still');
    await upgraded.close();
    // its end is the session's
    const after = await session.get();
    expect([after.status, JSON.parse(after.body)]).toEqual([400, { code: 1, message: 'Session ID unknown' }]);
  },
  'a candidate that sends anything else': async () => {
    const session = await Upgrading.open();
    for (const frames of [['5'], ['40'], ['42["message",1]'], ['2'], ['2probe', '2probe'], ['2probe', '4x'], ['']]) {
      const candidate = await session.candidate();
      candidate.send(...frames);
      await candidate.untilClosed();
    }
    const binary = await session.candidate();
    binary.ws.send(Buffer.from('2probe'));
    await binary.untilClosed();
    await session.expectPolling('stays');
    await (await session.upgraded()).close();
  },
  'a candidate that stops half-way': async () => {
    const session = await Upgrading.open(hasty.url);
    const mute = await session.candidate();
    await mute.untilClosed();
    const probed = await session.probing();
    await probed.untilClosed();
    await session.expectPolling('stays');
    const left = await session.probing();
    await left.close();
    await session.expectPolling('stays again');
    await session.post('1');
  },
  'a candidate whose session has ended': async () => {
    const session = await Upgrading.open();
    const candidate = await session.probing();
    await session.post('1');
    // at once: it need not speak to learn it
    await candidate.untilClosed();
    expect((await session.get()).status).toBe(400);
  },
});
