import { afterAll, beforeAll, expect } from 'vitest';
import { openRaw } from '../support/raw-client.ts';
import { startConformance, type Conformance } from './conformance.ts';
import { cover } from './cover.ts';
import { pollingQuery, request } from './http.ts';
import { framesOf, openPolling } from './lines.ts';

/** One pings often and waits long, the other is soon tired of waiting, the third is as patient as servers are. */
let frequent: Conformance;
let impatient: Conformance;
let calm: Conformance;

beforeAll(async () => {
  [frequent, impatient, calm] = await Promise.all([
    startConformance({ ping: 100, timeout: 30_000 }),
    startConformance({ ping: 300, timeout: 200 }),
    startConformance(),
  ]);
});
afterAll(async () => {
  await Promise.all([frequent?.stop(), impatient?.stop(), calm?.stop()]);
});

cover('Heartbeat', {
  'every `pingInterval`': async () => {
    const client = await openRaw(frequent.url, { silent: true });
    await client.next('0{');
    client.send('40');
    for (let n = 0; n < 5; n++) {
      await client.next('2');
      client.send('3');
    }
    client.send('42["message","still"]');
    expect(await client.next('42["message-back')).toBe('42["message-back","still"]');
    await client.close();

    const { sid } = await openPolling(frequent.url);
    const query = `${pollingQuery}&sid=${sid}`;
    for (let n = 0; n < 5; n++) {
      expect(new Set(framesOf((await request(frequent.url, { query })).body))).toEqual(new Set(['2']));
      expect(await request(frequent.url, { query, method: 'POST', body: '3' })).toMatchObject({ status: 200 });
    }
    await request(frequent.url, { query, method: 'POST', body: '1' });
  },
  'silence for `pingInterval` + `pingTimeout`': async () => {
    const client = await openRaw(impatient.url, { silent: true });
    expect(await client.untilClosed()).toEqual({ code: 4409, reason: 'ping_timeout' });

    const { sid } = await openPolling(impatient.url);
    const query = `${pollingQuery}&sid=${sid}`;
    let last = '';
    for (let status = 200; status === 200;) {
      const answer = await request(impatient.url, { query });
      ({ status } = answer);
      last = answer.body;
      if (status === 200) expect(['1', '2']).toContain(framesOf(last).at(-1));
    }
    expect(last).toBe('{"code":1,"message":"Session ID unknown"}');
  },
  'a `2`, or any type that only a server sends, from a client': async () => {
    for (const frame of ['2', '2probe', '0', '5', '6', '3probe', '7', 'x', '']) {
      const client = await openRaw(calm.url);
      client.send(frame);
      expect({ frame, ...(await client.untilClosed()) }).toEqual({ frame, code: 4400, reason: 'protocol_error' });
      if (frame === '') continue;
      const { sid } = await openPolling(calm.url);
      const query = `${pollingQuery}&sid=${sid}`;
      const { status } = await request(calm.url, { query, method: 'POST', body: frame });
      expect({ frame, status }).toEqual({ frame, status: 400 });
      expect((await request(calm.url, { query })).status).toBe(400);
    }
  },
  '`1` on a WebSocket': async () => {
    const client = await openRaw(calm.url);
    client.send('1');
    expect(await client.untilClosed()).toEqual({ code: 1000, reason: '' });
  },
});
