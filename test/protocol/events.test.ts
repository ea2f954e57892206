import { afterAll, beforeAll, expect } from 'vitest';
import { startConformance, type Conformance } from './conformance.ts';
import { coverFor } from './cover.ts';
import { allKinds, connectPeer, event, expectEcho, expectEnded, type as types, type Packet } from './peer.ts';

let server: Conformance;

beforeAll(async () => {
  server = await startConformance();
});
afterAll(() => server?.stop());

const ack = (id: number, data: readonly unknown[]): Packet => ({ type: types.ack, nsp: '/', id, data });

coverFor('Events and acks', allKinds, {
  'an event with several arguments': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    const args = [1, -1.5, 'text', '', true, null, [], {}, [[{ a: [null] }]], 'Grüße 👋', Date.now()];
    await peer.emit('message', ...args);
    expect(await peer.next()).toEqual(event(['message-back', ...args]));
    await peer.emit('message');
    expect(await peer.next()).toEqual(event(['message-back']));
    await peer.close();
  },
  'a thousand events at once': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    const numbers = Array.from({ length: 1000 }, (_, n) => n);
    await peer.send(...numbers.map((n) => event(['message', n])));
    const back: unknown[] = [];
    while (back.length < numbers.length) back.push((await peer.next()).data);
    expect(back).toEqual(numbers.map((n) => ['message-back', n]));
    await peer.close();
  },
  'an event to everybody': async (kind) => {
    const peers = await Promise.all([kind, ...allKinds].map((one) => connectPeer(server.url, one)));
    const [sender] = peers;
    const value = { n: 1, bytes: [Buffer.from([0, 255]), { more: Buffer.alloc(300, 7) }] };
    await sender?.emit('pub', value);
    await sender?.emit('pub', 'plain');
    for (const peer of peers) {
      expect(await peer.next()).toEqual(event(['message', value]));
      expect(await peer.next()).toEqual(event(['message', 'plain']));
      await expectEcho(peer);
    }
    await Promise.all(peers.map((peer) => peer.close()));
  },
  'keys like `__proto__`': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    const value: unknown = JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":2}',
    );
    await peer.ask(1, 'echo', value);
    const { data } = await peer.next();
    if (kind.form === 'json') expect(JSON.stringify(data)).toBe(JSON.stringify([value]));
    else expect(data).toMatchObject([{ constructor: { prototype: { polluted: 1 } }, toString: 2 }]);
    await peer.emit('message', '__proto__', 'constructor');
    expect(await peer.next()).toEqual(event(['message-back', '__proto__', 'constructor']));
    await peer.emit('__proto__', 1);
    await peer.emit('toString', 1);
    await expectEcho(peer, {});
    await peer.close();
  },
  'a payload that is no array, or empty': async (kind) => {
    for (const type of [types.event, types.ack]) {
      for (const data of [undefined, {}, 'text', 1, true, ...(type === types.event ? [[]] : [])]) {
        const peer = await connectPeer(server.url, kind);
        await peer.send({ type, nsp: '/', id: 1, data });
        await expectEnded(peer, kind);
      }
    }
  },
  'an event whose name is no text, or reserved (`connect`, `disconnect` …)': async (kind) => {
    const reserved = ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'];
    for (const name of [...reserved, 1, null, {}, ['message'], true]) {
      const peer = await connectPeer(server.url, kind);
      await peer.send(event([name, 1]));
      await expectEnded(peer, kind);
    }
  },
  'a type that is none, or CONNECT_ERROR': async (kind) => {
    for (const type of [types.connectError, 7, 9, -1]) {
      const peer = await connectPeer(server.url, kind);
      await peer.send({ type, nsp: '/', data: ['message', 1] });
      await expectEnded(peer, kind);
    }
  },
  'ack ids 0, 7919 and 2^53 - 1': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    for (const id of [0, 7919, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      await peer.ask(id, 'message-with-ack', 'a', 1);
      expect(await peer.next()).toEqual(ack(id, ['a', 1]));
    }
    await peer.ask(5, 'message-with-ack');
    expect(await peer.next()).toEqual(ack(5, []));
    await peer.close();
  },
  'an ack that the server does not wait for, or a second one': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.send(ack(0, []), ack(7919, [Buffer.from('x')]));
    await peer.emit('ask', 'who?');
    const { id = -1, data } = await peer.next();
    expect(data).toEqual(['question', 'who?']);
    await peer.send(ack(id, ['me']), ack(id, ['still me']));
    expect(await peer.next()).toEqual(event(['answered', 'me']));
    await expectEcho(peer);
    await peer.close();
  },
  'an ack without an id': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.send({ type: types.ack, nsp: '/', data: [] });
    await expectEnded(peer, kind);
  },
  'several questions of the server, answered in another order': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    const names = ['one', 'two', 'three'];
    await peer.send(...names.map((name) => event(['ask', name])));
    const questions = [await peer.next(), await peer.next(), await peer.next()];
    expect(questions.map(({ data }) => data)).toEqual(names.map((name) => ['question', name]));
    expect(new Set(questions.map(({ id }) => id)).size).toBe(3);
    const answers = questions.map(({ id = -1, data }) => ack(id, [(data as string[])[1], 'heard']));
    await peer.send(...answers.toReversed());
    for (const name of names.toReversed()) expect(await peer.next()).toEqual(event(['answered', name, 'heard']));
    await peer.close();
  },
  'a question of the server that is not answered': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.emit('ask', 'anybody?');
    expect((await peer.next()).data).toEqual(['question', 'anybody?']);
    expect(await peer.next()).toEqual(event(['answered', expect.stringContaining('did not acknowledge in time')]));
    await expectEcho(peer);
    await peer.close();
  },
});
