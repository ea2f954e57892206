import { describe, expect, it } from 'vitest';
import { AddressLimit } from '../../../src/gateway/engine/address-limit.ts';
import { checkRequest, engineErrors, newId, openPacket } from '../../../src/gateway/engine/handshake.ts';
import { originAllowed } from '../../../src/api/origins.ts';

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
    expect(originAllowed(origin, here, settings)).toBe(allowed);
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
