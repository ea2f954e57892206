import { afterAll, beforeAll, expect } from 'vitest';
import { startConformance, type Conformance } from './conformance.ts';
import { coverFor } from './cover.ts';
import { allKinds, connectPeer, event, expectEcho, expectEnded, openPeer, type as types } from './peer.ts';

let server: Conformance;
/** Long enough for a busy machine to say what it has to. */
let hasty: Conformance;
let hastier: Conformance;

beforeAll(async () => {
  [server, hasty, hastier] = await Promise.all([
    startConformance({ 'bad-token': 'bad' }),
    startConformance({ 'connect-timeout': 2000 }),
    startConformance({ 'connect-timeout': 200 }),
  ]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), hasty?.stop(), hastier?.stop()]);
});

const connect = (nsp = '/', data?: unknown) => ({ type: types.connect, nsp, ...(data === undefined ? {} : { data }) });
const disconnect = (nsp = '/') => ({ type: types.disconnect, nsp });
const auth = (nsp: string, payload: object = {}) => event(['auth', payload], { nsp });
const sid = expect.any(String) as string;

coverFor('Connect', allKinds, {
  'CONNECT to `/`': async (kind) => {
    const peer = await openPeer(server.url, kind);
    await peer.send(connect());
    const connected = await peer.next();
    expect(connected).toEqual(connect('/', { sid }));
    expect((connected.data as { sid: string }).sid).not.toBe(peer.line.open.sid);
    expect(await peer.next()).toEqual(auth('/'));
    await expectEcho(peer);
    await peer.close();
  },
  'CONNECT with a payload': async (kind) => {
    const peer = await openPeer(server.url, kind);
    const payload = { token: 'Grüße 👋', deep: { list: [1, null, true] } };
    await peer.send(connect('/', payload));
    expect(await peer.next()).toEqual(connect('/', { sid }));
    expect(await peer.next()).toEqual(auth('/', payload));
    await peer.close();
  },
  'anything before CONNECT': async (kind) => {
    for (const packet of [
      event(['message']),
      event(['echo', 1], { id: 0 }),
      disconnect(),
      { type: 3, nsp: '/', id: 0, data: [] },
    ]) {
      const peer = await openPeer(server.url, kind);
      await peer.send(packet);
      await expectEnded(peer, kind);
    }
    const elsewhere = await openPeer(server.url, kind);
    await elsewhere.send(connect('/custom'), event(['message']));
    await expectEnded(elsewhere, kind);
  },
  'no CONNECT within the connect timeout': async (kind) => {
    await expectEnded(await openPeer(hastier.url, kind), kind, 'connect_timeout');
  },
  'CONNECT twice': async (kind) => {
    for (const nsp of ['/', '/custom']) {
      const peer = await connectPeer(server.url, kind);
      await peer.send(connect(nsp), connect(nsp));
      await expectEnded(peer, kind);
    }
  },
  'CONNECT with a payload that is no object': async (kind) => {
    for (const payload of [[], [{}], 'text', 1, true]) {
      const peer = await openPeer(server.url, kind);
      await peer.send(connect('/', payload));
      await expectEnded(peer, kind);
    }
  },
  'CONNECT that is refused': async (kind) => {
    const peer = await openPeer(server.url, kind);
    const refusal = { message: 'Bad token', data: { code: 'unauthorized' } };
    for (const nsp of ['/', '/custom']) {
      await peer.send(connect(nsp, { token: 'bad' }));
      expect(await peer.next()).toEqual({ type: types.connectError, nsp, data: refusal });
    }
    await peer.send(connect('/', { token: 'good' }));
    expect(await peer.next()).toEqual(connect('/', { sid }));
    await peer.close();
  },
});

coverFor('Namespaces', allKinds, {
  'CONNECT to one that does not exist': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    for (const nsp of ['/nowhere', '/custom/', '/__proto__', `/${'x'.repeat(1000)}`]) {
      await peer.send(connect(nsp));
      expect(await peer.next()).toEqual({ type: types.connectError, nsp, data: { message: 'Invalid namespace' } });
    }
    await expectEcho(peer);
    await peer.close();
  },
  'CONNECT to a second one': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.send(connect('/custom', { also: true }));
    expect(await peer.next()).toEqual(connect('/custom', { sid }));
    expect(await peer.next()).toEqual(auth('/custom', { also: true }));
    await peer.send(event(['message', 1], { nsp: '/custom' }), event(['message', 2]));
    expect(await peer.next()).toEqual(event(['message-back', 1], { nsp: '/custom' }));
    expect(await peer.next()).toEqual(event(['message-back', 2]));
    await peer.send(event(['echo', Buffer.from('x')], { nsp: '/custom', id: 3 }));
    expect(await peer.next()).toEqual({ type: types.ack, nsp: '/custom', id: 3, data: [Buffer.from('x')] });
    await peer.close();
  },
  'DISCONNECT from one': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.send(connect('/custom'));
    expect([await peer.next(), await peer.next()]).toEqual([connect('/custom', { sid }), auth('/custom')]);
    await peer.send(disconnect('/custom'));
    await expectEcho(peer);
    await peer.send(connect('/custom'));
    expect([await peer.next(), await peer.next()]).toEqual([connect('/custom', { sid }), auth('/custom')]);
    await peer.send(disconnect(), event(['message', 1], { nsp: '/custom' }));
    expect(await peer.next()).toEqual(event(['message-back', 1], { nsp: '/custom' }));
    await peer.close();
  },
  'an event to one that was left': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.send(disconnect(), event(['message', 1]));
    await expectEnded(peer, kind);
    const other = await connectPeer(server.url, kind);
    await other.send(event(['message', 1], { nsp: '/custom' }));
    await expectEnded(other, kind);
  },
  'DISCONNECT from `/`, then CONNECT': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    for (let round = 0; round < 3; round++) {
      await peer.send(disconnect(), connect('/', { round }));
      expect(await peer.next()).toEqual(connect('/', { sid }));
      expect(await peer.next()).toEqual(auth('/', { round }));
    }
    await peer.emit('pub', 'once');
    expect(await peer.next()).toEqual(event(['message', 'once']));
    await expectEcho(peer);
    await peer.close();
  },
  'DISCONNECT from all, then nothing': async (kind) => {
    const peer = await connectPeer(hasty.url, kind);
    await peer.send(disconnect());
    await expectEnded(peer, kind, 'connect_timeout');
  },
});
