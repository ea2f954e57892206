import { afterAll, beforeAll, expect } from 'vitest';
import { startConformance, type Conformance } from './conformance.ts';
import { coverFor } from './cover.ts';
import type { Frame } from './lines.ts';
import { allKinds, connectPeer, event, expectEcho, expectEnded, textKinds, type as types, type Kind } from './peer.ts';

let server: Conformance;
let hasty: Conformance;

beforeAll(async () => {
  [server, hasty] = await Promise.all([startConformance(), startConformance({ 'connect-timeout': 2000 })]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), hasty?.stop()]);
});

const nested = {
  first: Buffer.from([1, 2, 3]),
  list: [Buffer.alloc(0), { deep: { deeper: [Buffer.from([255])] } }],
  text: 'between',
  last: Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
};

coverFor('Binary', allKinds, {
  'an event with several attachments, nested, one of them empty': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.emit('message', nested, 'and', Buffer.from('more'));
    expect(await peer.next()).toEqual(event(['message-back', nested, 'and', Buffer.from('more')]));
    const ten = Array.from({ length: 10 }, (_, n) => Buffer.from([n]));
    await peer.send(event(['message', ten]), event(['message', 'next']));
    expect(await peer.next()).toEqual(event(['message-back', ten]));
    expect(await peer.next()).toEqual(event(['message-back', 'next']));
    await peer.close();
  },
  'an ack with binary': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.ask(7919, 'echo', nested);
    expect(await peer.next()).toEqual({ type: types.ack, nsp: '/', id: 7919, data: [nested] });
    await peer.close();
  },
  'the ack of a client, with binary': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.emit('ask', Buffer.from('a question'));
    const { id = -1, data } = await peer.next();
    expect(data).toEqual(['question', Buffer.from('a question')]);
    await peer.send({ type: types.ack, nsp: '/', id, data: [nested] });
    expect(await peer.next()).toEqual(event(['answered', nested]));
    await peer.close();
  },
});

/** Frames as they are on a connection of their own, which they end. */
async function expectViolation(kind: Kind, ...frames: Frame[]): Promise<void> {
  const peer = await connectPeer(server.url, kind);
  await peer.line.send(...frames);
  await expectEnded(peer, kind);
}

const bytes = Buffer.from([1, 2, 3]);
const hole = (num: unknown): string => JSON.stringify({ _placeholder: true, num });

coverFor('Text packets', textKinds, {
  'an ack id of 19 digits': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    for (const id of ['9007199254740993', '9223372036854775807', '0000000000000000001', '00']) {
      await peer.line.send(`42${id}["echo",1]`);
      expect(await peer.line.next()).toBe(`43${id}[1]`);
      await peer.line.send(`451-${id}["echo",${hole(0)}]`, bytes);
      expect([await peer.line.next(), await peer.line.next()]).toEqual([`461-${id}[${hole(0)}]`, bytes]);
    }
    await peer.close();
  },
  'an ack id of 20 digits': async (kind) => {
    await expectViolation(kind, '4212345678901234567890["echo",1]');
  },
  'JSON that is none': async (kind) => {
    for (const text of [
      '42',
      '421',
      '42["echo"',
      '42["echo"]x',
      "42['echo']",
      '42[NaN]',
      '42["echo",undefined]',
      '42\u0000["a"]',
    ]) {
      await expectViolation(kind, text);
    }
    for (const text of ['41x', '40[', '40{', '43', '42/custom["message"]', '42-1["a"]'])
      await expectViolation(kind, text);
  },
  'no attachments announced (`450-`)': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.line.send('450-["message",1]');
    expect(await peer.line.next()).toBe('42["message-back",1]');
    await peer.line.send('450-7["echo",2]');
    expect(await peer.line.next()).toBe('437[2]');
    await peer.close();
  },
  'one placeholder twice': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.line.send(`451-1["echo",[${hole(0)},${hole(0)}]]`, bytes);
    expect(await peer.next()).toEqual({ type: types.ack, nsp: '/', id: 1, data: [[bytes, bytes]] });
    // and one that is not named is dropped
    await peer.line.send('451-2["echo",1]', bytes);
    expect(await peer.next()).toEqual({ type: types.ack, nsp: '/', id: 2, data: [1] });
    await peer.close();
  },
  'a placeholder that names no attachment': async (kind) => {
    for (const num of [1, -1, 0.5, '0', null, 'length', '__proto__', {}, 1e300]) {
      await expectViolation(kind, `451-["message",${hole(num)}]`, bytes);
    }
    await expectViolation(kind, '451-["message",{"_placeholder":true}]', bytes);
  },
  'a placeholder under `__proto__`': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.line.send(`451-1["echo",{"__proto__":${hole(0)},"a":1}]`, bytes);
    expect([await peer.line.next(), await peer.line.next()]).toEqual([`461-1[{"__proto__":${hole(0)},"a":1}]`, bytes]);
    await expectEcho(peer, {});
    await peer.close();
  },
  'more than 10 attachments, or no number of them': async (kind) => {
    for (const count of ['11', '99', '100', '-1', '1.5', 'x', '', '1e1', ' 1', '0x1']) {
      await expectViolation(kind, `45${count}-["message"]`);
    }
    await expectViolation(kind, `45["message",${hole(0)}]`);
    await expectViolation(kind, '451["message"]');
  },
  'a heartbeat between an event and its attachments': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.line.send(`452-1["echo",[${hole(0)},${hole(1)}]]`, '3', bytes, '3');
    await peer.line.send('3', Buffer.from('b'));
    expect(await peer.next()).toEqual({ type: types.ack, nsp: '/', id: 1, data: [[bytes, Buffer.from('b')]] });
    await peer.close();
  },
  'text while attachments are awaited': async (kind) => {
    const announced = `451-["message",${hole(0)}]`;
    for (const next of ['42["message",1]', announced, '41', '40']) await expectViolation(kind, announced, next);
  },
  'binary that no packet announced': async (kind) => {
    await expectViolation(kind, bytes);
    await expectViolation(kind, `451-["message",${hole(0)}]`, bytes, bytes);
  },
  'attachments that never come': async (kind) => {
    const begun = [[`451-["message",${hole(0)}]`], [`462-1[${hole(0)}]`, bytes]];
    await Promise.all(
      begun.map(async (frames) => {
        const peer = await connectPeer(hasty.url, kind);
        await peer.line.send(...frames);
        await expectEnded(peer, kind);
      }),
    );
  },
});
