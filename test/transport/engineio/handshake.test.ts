import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { AddressLimit } from '../../../src/transport/engineio/address-limit.ts';
import { checkRequest, engineErrors, newId, openPacket } from '../../../src/transport/engineio/handshake.ts';
import { hostAllowed, originAllowed } from '../../../src/http/origins.ts';

const good = { method: 'get', query: 'EIO=4&transport=websocket', upgrade: true, webSocketVersion: '13' };
const polling = { query: 'EIO=4&transport=polling', upgrade: false };

describe('the handshake', () => {
  it.each([
    [{}, undefined],
    [{ query: 't=1&transport=websocket&EIO=4&token=x' }, undefined],
    [{ query: 'EIO=4&transport=polling' }, engineErrors.request],
    [polling, undefined],
    [{ ...polling, query: `${polling.query}&sid=x` }, undefined],
    [{ ...polling, query: `${polling.query}&sid=x`, method: 'post' }, undefined],
    [{ ...polling, method: 'post' }, engineErrors.method],
    [{ ...polling, query: `${polling.query}&sid=x`, method: 'put' }, engineErrors.method],
    [{ query: 'EIO=4&transport=carrier-pigeon' }, engineErrors.transport],
    [{ query: '' }, engineErrors.transport],
    [{ query: 'EIO=3&transport=websocket' }, engineErrors.version],
    [{ query: 'EIO=4&transport=websocket&sid=x' }, undefined],
    [{ method: 'post' }, engineErrors.method],
    [{ upgrade: false }, engineErrors.request],
    [{ webSocketVersion: '8' }, engineErrors.request],
  ])('%j is %j', (changes, error) => {
    const request = { ...good, ...changes };
    expect(checkRequest({ ...request, query: new URLSearchParams(request.query) })).toEqual(error);
  });

  it('is answered with all five keys', () => {
    const packet = openPacket('an id', ['websocket'], { pingIntervalMs: 1, pingTimeoutMs: 2, maxFrameBytes: 3 });
    expect(packet[0]).toBe('0');
    expect(JSON.parse(packet.slice(1))).toEqual({
      sid: 'an id',
      upgrades: ['websocket'],
      pingInterval: 1,
      pingTimeout: 2,
      maxPayload: 3,
    });
  });

  it('gives ids that differ', () => {
    expect(new Set(Array.from({ length: 1000 }, newId)).size).toBe(1000);
  });
});

describe('an origin', () => {
  const here = 'chat.example:3000';
  const closed = { origins: undefined, localOrigins: false };
  it.each([
    ['', closed, true],
    ['http://chat.example:3000', closed, true],
    ['https://chat.example:3000', closed, true],
    ['https://chat.example', closed, false],
    ['https://evil.example', closed, false],
    ['http://chat.example:3000.evil.example', closed, false],
    ['null', closed, false],
    ['nonsense', closed, false],
    ['http://localhost:5173', closed, false],
    ['http://localhost:5173', { origins: undefined, localOrigins: true }, true],
    ['http://127.0.0.1:1', { origins: undefined, localOrigins: true }, true],
    ['http://[::1]:1', { origins: undefined, localOrigins: true }, true],
    ['http://localhost.evil.example', { origins: undefined, localOrigins: true }, false],
    ['https://a.example', { origins: ['https://a.example'], localOrigins: false }, true],
    ['http://a.example', { origins: ['https://a.example'], localOrigins: false }, false],
    ['http://chat.example:3000', { origins: ['https://a.example'], localOrigins: true }, false],
    ['null', { origins: ['*'], localOrigins: false }, true],
  ])('%j with %j may connect: %s', (origin, settings, allowed) => {
    // the demo answers to names of this machine alone; see below
    const host = settings.localOrigins && settings.origins === undefined ? 'localhost:3000' : here;
    expect(originAllowed(origin, { host, proto: '' }, { ...settings, localOrigins: host !== here })).toBe(allowed);
  });

  it.each([
    ['http://chat.example', 'chat.example', '', true],
    ['http://chat.example', 'chat.example', 'http', true],
    ['http://chat.example', 'chat.example', 'https', false],
    ['https://chat.example', 'chat.example', 'https', true],
    ['https://chat.example', 'chat.example:443', 'https', true],
    ['https://chat.example', 'chat.example:80', 'https', false],
    ['http://chat.example', 'chat.example:443', 'http', false],
    ['ftp://chat.example', 'chat.example', '', false],
    ['file://chat.example', 'chat.example', '', false],
  ])('%j for the host %j behind the scheme %j may connect: %s', (origin, host, proto, allowed) => {
    expect(originAllowed(origin, { host, proto }, closed)).toBe(allowed);
  });

  it.each([
    ['localhost:3000', undefined, true],
    ['127.0.0.1:3000', undefined, true],
    ['[::1]:3000', undefined, true],
    ['192.168.7.2:3000', undefined, true],
    [`${hostname()}:3000`, undefined, true],
    ['rebind.evil.example:3000', undefined, false],
    ['localhost.evil.example', undefined, false],
    ['127.0.0.1.evil.example', undefined, false],
    ['not a host', undefined, false],
    ['chat.example', ['https://chat.example'], true],
    ['rebind.evil.example', ['https://chat.example'], false],
    ['rebind.evil.example', ['*'], true],
  ])('the demo answers to the name %j with the origins %j: %s', (host, origins, allowed) => {
    const demo = { origins, localOrigins: true };
    expect(hostAllowed(host, demo)).toBe(allowed);
    expect(originAllowed('', { host, proto: '' }, demo)).toBe(allowed);
    expect(hostAllowed(host, { origins, localOrigins: false })).toBe(true);
  });
});

describe('connections of an address', () => {
  it('are counted, and an address without any is forgotten', () => {
    const limit = new AddressLimit(2);
    const take = (address: string) => limit.take(address, address);
    const [one, two] = [take('a'), take('a')];
    expect([one, two, take('a'), take('b')].map((use) => use?.network.connections)).toEqual([2, 2, undefined, 1]);
    expect(limit.size).toBe(2);
    if (one !== undefined) limit.release(one);
    expect(take('a')).toBe(two);
    for (const use of [one, two]) if (use !== undefined) limit.release(use);
    expect(limit.size).toBe(1);
  });

  it('are counted together with those of its network, and each is known by its own', () => {
    const limit = new AddressLimit(2);
    const uses = ['a1', 'a2', 'a3', 'b1'].map((address) => limit.take(address, address.slice(0, 1)));
    expect(uses.map((use) => use?.address)).toEqual(['a1', 'a2', undefined, 'b1']);
    for (const use of uses) if (use !== undefined) limit.release(use);
    expect(limit.size).toBe(0);
  });
});
