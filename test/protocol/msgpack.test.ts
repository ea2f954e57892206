import { afterAll, beforeAll, expect } from 'vitest';
import { startConformance, type Conformance } from './conformance.ts';
import { coverFor } from './cover.ts';
import type { Frame } from './lines.ts';
import {
  connectPeer,
  event,
  expectEcho,
  expectEnded,
  msgpackKinds,
  openPeer,
  type as types,
  type Kind,
} from './peer.ts';

let server: Conformance;

beforeAll(async () => {
  server = await startConformance();
});
afterAll(() => server?.stop());

async function expectViolation(kind: Kind, ...frames: Frame[]): Promise<void> {
  const peer = await connectPeer(server.url, kind);
  await peer.line.send(...frames);
  await expectEnded(peer, kind);
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const key = (name: string): string => Buffer.from([0xa0 + name.length, ...Buffer.from(name)]).toString('hex');
/** `{type: 2, nsp: '/', data: ['message', <value>]}` with the value's bytes as they are. */
const message = (value: string): Buffer =>
  hex(`83 ${key('type')} 02 ${key('nsp')} ${key('/')} ${key('data')} 92 ${key('message')} ${value}`);

coverFor('Msgpack packets', msgpackKinds, {
  'text, or bytes that are no msgpack': async (kind) => {
    for (const frame of ['40', '42["message",1]', '4']) await expectViolation(kind, frame);
    const bad = [
      '',
      'c1',
      '81',
      '92 01',
      'd9 ff 61',
      '01',
      'a1 61',
      '80',
      '90',
      'c0',
      'dd ff ff ff ff',
      'df ff ff ff ff',
      'c6 ff ff ff ff 00',
    ];
    for (const bytes of bad) {
      // a message of long-polling is never empty
      if (bytes === '' && kind.transport === 'polling') continue;
      await expectViolation(kind, hex(bytes));
    }
    const early = await openPeer(server.url, kind);
    await early.line.send('40');
    await expectEnded(early, kind);
  },
  'bytes behind the packet': async (kind) => {
    await expectViolation(kind, Buffer.concat([message('01'), hex('00')]));
    await expectViolation(kind, Buffer.concat([message('01'), message('01')]));
  },
  'an id that is no safe integer from 0': async (kind) => {
    for (const id of [-1, 0.5, 2 ** 53, NaN, '1', {}, true]) {
      const peer = await connectPeer(server.url, kind);
      await peer.send(event(['echo', 1], { id: id as number }));
      await expectEnded(peer, kind);
    }
  },
  'references, records and other extensions': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    await peer.line.send(message('01'));
    expect(await peer.next()).toEqual(event(['message-back', 1]));
    await peer.close();
    // msgpackr would read all of these: the value of an id, a reference to it, a record, a regular expression, a set, an error
    const values = ['d6 69 00000001 91 01', '92 d6 69 00000001 91 01 d6 70 00000001', 'd4 72 40 91 a1 61 01'];
    for (const value of [...values, 'c7 05 78 92 a1 61 a1 67', 'd4 73 00 91 01', 'd4 65 00', 'd6 ff 00000001']) {
      await expectViolation(kind, message(value));
    }
    // 28 lists, each twice the one before: 300 bytes that would be written as 2^28 of them
    let bomb = '9101';
    for (let n = 1; n <= 28; n++) {
      const id = n.toString(16).padStart(8, '0');
      bomb = `92 d669${id} ${bomb} d670${id}`;
    }
    await expectViolation(kind, message(bomb));
    await expectViolation(kind, message('91'.repeat(10_000)));
    await expectViolation(kind, message(`${'91'.repeat(10_000)}01`));
    await expectViolation(kind, message('81 01 02'));
    await expectViolation(kind, message('81 91 01 02'));
  },
  'integers of 64 bits, and undefined': async (kind) => {
    const peer = await connectPeer(server.url, kind);
    const numbers = [
      0,
      127,
      128,
      65_536,
      2 ** 31,
      2 ** 32,
      Number.MAX_SAFE_INTEGER,
      -1,
      -32,
      -33,
      -(2 ** 31),
      -(2 ** 40),
      0.1,
      -0.5,
    ];
    await peer.emit('message', numbers, undefined, { a: undefined });
    expect(await peer.next()).toEqual({
      type: types.event,
      nsp: '/',
      data: ['message-back', numbers, undefined, { a: undefined }],
    });
    await expectEcho(peer);
    await peer.close();
  },
});
