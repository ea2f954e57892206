/** The wire from outside, as docs/connecting.md types it: plain WebSocket frames. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openRaw, type RawClient } from '../../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../../support/server.ts';

let server: TestServer;
let token: string;

beforeAll(async () => {
  server = await startServer();
  token = await tokenOf('ann');
});
afterAll(() => server.stop());

/** Asks for an ack under the id and gives its one argument. */
async function command(client: RawClient, id: string, name: string, input: unknown): Promise<Record<string, unknown>> {
  client.send(`42${id}${JSON.stringify([name, input])}`);
  const frame = await client.next(`43${id}[`);
  const args = JSON.parse(frame.slice(2 + id.length)) as [Record<string, unknown>];
  expect(args).toHaveLength(1);
  return args[0];
}

describe('frames typed by hand', () => {
  it('connect, send and receive, as in docs/connecting.md', async () => {
    const client = await openRaw(server.url);
    const open = await client.next();
    expect(JSON.parse(open.slice(1))).toEqual({
      sid: expect.stringMatching(/^[\w-]{20}$/) as unknown,
      upgrades: [],
      pingInterval: 25_000,
      pingTimeout: 20_000,
      maxPayload: 65_536,
    });
    client.send(`40{"token":"${token}"}`);
    const connected = await client.next();
    expect(connected).toMatch(/^40\{"sid":"~[\w-]{20}"\}$/);
    expect(connected).not.toContain((JSON.parse(open.slice(1)) as { sid: string }).sid);
    expect(await client.next()).toMatch(/^42\["ready",\{"user":\{"id":"ann","name":null\},"session":"/);

    client.send('421["room:create",{"kind":"channel","name":"General","id":"general"}]');
    expect(await client.next('431[')).toBe(
      '431[{"ok":true,"room":{"id":"general","kind":"channel","name":"General","role":"owner","seq":0,"rev":0,"read":0},"created":true}]',
    );
    const id = randomUUID();
    client.send(`420["message:send",{"room":"general","id":"${id}","body":"hello"}]`);
    expect(await client.next('430[')).toMatch(/^430\[\{"ok":true,"seq":1,"rev":1,"at":\d{13}\}\]$/);
    expect(await client.next('42["message",')).toMatch(
      new RegExp(
        `^42\\["message",\\{"room":"general","seq":1,"rev":1,"id":"${id}","from":"ann","name":null,"body":"hello","at":\\d{13}\\}\\]$`,
      ),
    );
    await client.close();
  });

  it('get their ack id back as it was written, up to 19 digits', async () => {
    const client = await connectRaw(server.url, token);
    for (const id of ['7919', '0', '007', '9007199254740993', '9223372036854775807', '9999999999999999999']) {
      expect(await command(client, id, 'room:list', {})).toMatchObject({ ok: true });
    }
    client.send('4210000000000000000000["room:list",{}]');
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it('without an ack id are carried out and not answered', async () => {
    const client = await connectRaw(server.url, token);
    client.send('42["room:create",{"kind":"channel","name":"Quiet","id":"quiet"}]');
    await client.next('42["member",');
    client.send('42["nonsense",{}]');
    expect(await command(client, '1', 'room:list', { after: 'quies' })).toMatchObject({ rooms: [{ id: 'quiet' }] });
    expect(client.frames.filter((frame) => frame.startsWith('43'))).toEqual([]);
    await client.close();
  });

  it('carry a UUID in any case as the same message', async () => {
    const client = await connectRaw(server.url, token);
    await command(client, '1', 'room:create', { kind: 'channel', name: 'Case', id: 'case' });
    const id = randomUUID();
    const first = await command(client, '2', 'message:send', { room: 'case', id, body: 1 });
    const again = await command(client, '3', 'message:send', { room: 'case', id: id.toUpperCase(), body: 1 });
    expect(again).toEqual(first);
    await client.close();
  });

  it('to other namespaces get the error that there is none, and the connection stays', async () => {
    const client = await openRaw(server.url);
    await client.next('0{');
    client.send('40/admin,');
    expect(await client.next()).toBe('44/admin,{"message":"Invalid namespace"}');
    client.send('40/admin');
    expect(await client.next()).toBe('44/admin,{"message":"Invalid namespace"}');
    client.send(`40/admin,{"token":"${token}"}`);
    expect(await client.next()).toBe('44/admin,{"message":"Invalid namespace"}');
    client.send(`40{"token":"${token}"}`);
    expect(await client.next()).toMatch(/^40\{/);
    client.send('42/admin,["x"]');
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it('with a refused CONNECT leave the connection open for another', async () => {
    const client = await openRaw(server.url);
    await client.next('0{');
    client.send('40');
    const refused = await client.next('44');
    expect(JSON.parse(refused.slice(2))).toEqual({
      message: 'A token is needed: connect with auth {"token": "..."}.',
      data: {
        code: 'unauthorized',
        message: 'A token is needed: connect with auth {"token": "..."}.',
        retryable: false,
      },
    });
    client.send(`40{"token":"${token}"}`);
    await client.next('42["ready",');
    await client.close();
  });

  it('end the connection by an Engine.IO close', async () => {
    const client = await connectRaw(server.url, token);
    client.send('1');
    expect(await client.untilClosed()).toEqual({ code: 1000, reason: '' });
  });

  it('leave by a Socket.IO DISCONNECT and come back on the same connection', async () => {
    const client = await connectRaw(server.url, token);
    client.send('41', `40{"token":"${token}"}`);
    expect(await client.next('40')).toMatch(/^40{"sid":"/);
    await client.next('42["ready"');
    client.send('41', '42["room:list",{}]');
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it.each([
    ['a second CONNECT', `40{"token":"x"}`],
    ['a second CONNECT while the first is being checked', undefined],
  ])('close the connection on %s', async (_, frame) => {
    const client = frame === undefined ? await openRaw(server.url) : await connectRaw(server.url, token);
    if (frame === undefined) client.send(`40{"token":"${token}"}`, `40{"token":"${token}"}`);
    else client.send(frame);
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });
});
