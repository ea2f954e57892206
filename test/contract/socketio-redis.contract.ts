/** The private members of Socket.IO's packages that `src/interop/socketio-redis/` overrides: a version without one fails. */
import { createRequire } from 'node:module';
import { Adapter } from 'socket.io-adapter';
import { expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

/** @param RedisAdapter the class that `@socket.io/redis-adapter` exports */
export function socketioRedisContract(RedisAdapter: new (...args: never[]) => object): void {
  it('is pinned to exact versions', () => {
    const { dependencies } = manifest as { dependencies: Record<string, string> };
    for (const name of ['@socket.io/redis-adapter', 'socket.io-adapter']) {
      expect(dependencies[name]).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });

  it('is one copy of the adapter that both use', () => {
    const inner = createRequire(createRequire(import.meta.url).resolve('@socket.io/redis-adapter'));
    expect((inner('socket.io-adapter') as { Adapter: unknown }).Adapter).toBe(Adapter);
    expect(RedisAdapter.prototype).toBeInstanceOf(Adapter);
  });

  it('has the methods that are overridden, with the arguments they take', () => {
    const own = RedisAdapter.prototype as unknown as Record<string, { length: number } | undefined>;
    expect(own['onmessage']?.length).toBe(3);
    expect(own['onrequest']?.length).toBe(2);
    const base = Adapter.prototype as unknown as Record<string, { length: number } | undefined>;
    expect(base['apply']?.length).toBe(2);
  });

  it('subscribes, decodes and finds rooms where it is expected to', async () => {
    const calls: string[] = [];
    const client = {
      publish: () => {},
      psubscribe: (pattern: string) => calls.push(pattern),
      subscribe: (channels: string[]) => calls.push(...channels.slice(0, 1)),
      on: (event: string) => calls.push(event),
      off: () => {},
    };
    const given: unknown[] = [];
    const nsp = {
      name: '/',
      server: { encoder: { encode: (packet: unknown) => [packet] } },
      sockets: new Map(),
      _ids: 1,
    };
    class Probe extends (RedisAdapter as unknown as new (...args: unknown[]) => object) {}
    const adapter = new Probe(nsp, client, client, { key: 'k' }) as Record<string, unknown> & {
      onmessage(pattern: string, channel: string, message: unknown): void;
      onrequest(channel: string, message: unknown): Promise<void>;
    };
    expect(calls).toEqual(expect.arrayContaining(['k#/#*', 'k-request#/#', 'pmessageBuffer', 'messageBuffer']));
    expect(adapter['channel']).toBe('k#/#');
    expect(adapter['requestChannel']).toBe('k-request#/#');
    expect(Object.keys(adapter['parser'] as object)).toEqual(expect.arrayContaining(['encode', 'decode']));
    adapter['parser'] = { decode: (message: unknown) => message };
    adapter['rooms'] = { has: (name: unknown) => name === 'r', keys: () => ['r'] };
    adapter['apply'] = (opts: unknown) => given.push(opts);
    adapter.onmessage('', 'k#/#r#', ['x', { type: 2, data: ['e'], nsp: '/' }, { rooms: ['r'], except: ['s'] }]);
    adapter.onmessage('', 'k#/#other#', ['x', { type: 2, data: ['e'], nsp: '/' }, { rooms: ['other'] }]);
    await adapter.onrequest('k-request#/#', { type: 2, opts: { rooms: ['r'], except: [] }, rooms: ['t'] });
    expect(given).toMatchObject([
      { rooms: new Set(['r']), except: new Set(['s']) },
      { rooms: new Set(['r']), except: new Set() },
    ]);
  });
}
