import { expect, it } from 'vitest';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { configKeys } from '../../src/config/keys/all.ts';
import * as slices from '../../src/config/slices.ts';
import type { GatewaySettings } from '../../src/gateway-settings.ts';
import type { MessagingOptions } from '../../src/messaging.ts';
import type { UserRateSettings } from '../../src/rates/user-rates.ts';
import type { TokenKeys } from '../../src/sessions/tokens.ts';

const machine = { maxConnections: 100, memoryBytes: 1000, workers: 2 };
const secret = 'a secret of the tests, long enough for HS256';
const server = loadConfig({
  DATABASE_URL: 'postgres://u:hunter2@h/d',
  REDIS_URL: 'redis://:hunter2@h',
  PARLEY_JWT_SECRET: secret,
});
const demo = loadConfig({});

it('each module gets its settings, and no other ones', () => {
  const gateway: GatewaySettings = slices.gatewaySlice(server, machine);
  const messaging: Partial<MessagingOptions> = slices.messagingSlice(server);
  const rates: UserRateSettings = slices.rateSlice(server);
  for (const slice of [gateway, messaging, rates, slices.presenceSlice(server), slices.fanoutSlice(server)]) {
    expect(JSON.stringify(slice)).not.toMatch(/hunter2|long enough/);
  }
  expect(gateway).toMatchObject({ maxConnections: 100, maxMemoryBytes: 400, longPolling: false });
  expect(gateway).not.toHaveProperty('port');
  expect(messaging).not.toHaveProperty('pingIntervalMs');
});

it('the tokens of a server are checked with its secrets alone', () => {
  const keys: TokenKeys = slices.tokenSlice(server, undefined);
  expect(keys).toMatchObject({ secrets: [secret], leewayMs: 60_000 });
  expect(slices.tokenSlice(demo, 'of the folder').secrets).toEqual(['of the folder']);
  expect(slices.guestSlice(server, undefined)).toBeUndefined();
  expect(slices.signingSlice(demo, 'of the folder')).toMatchObject({ secret: 'of the folder' });
  expect(slices.guestSlice(demo, 'of the folder')).toEqual({ perMinute: 30 });
});

it('defaults that depend on other settings are in the slice', () => {
  expect(slices.messagingSlice(demo)).toMatchObject({ writerStripes: 1, searchTimeoutMs: undefined });
  expect(slices.messagingSlice(server)).toMatchObject({ writerStripes: 2, searchTimeoutMs: 2000 });
  expect(slices.stopSlice(demo)).toEqual({ drainMs: 0, limitMs: 10_000 });
  expect(slices.stopSlice(server)).toEqual({ drainMs: 20_000, limitMs: 30_000 });
  expect(slices.listenSlice(demo)).toMatchObject({ host: '127.0.0.1', port: 3000, admin: undefined });
  expect(slices.listenSlice(loadConfig({ PARLEY_ADMIN_PORT: '9090' })).admin).toEqual({
    host: '127.0.0.1',
    port: 9090,
  });
  expect(slices.storageSlice(server)).toMatchObject({ server: { poolSize: 10, reads: { size: 6 } }, shared: true });
  expect(slices.storageSlice(demo).server).toBeUndefined();
  expect(slices.logSlice(demo, true)).toEqual({ level: 'info', pretty: true });
});

it('every setting is in a slice, or is read by the composition root alone', () => {
  const read = new Set<string>();
  const seen = (config: Config): Config =>
    new Proxy(config, { get: (target, name: keyof Config) => (read.add(name), target[name]) });
  for (const config of [server, demo].map(seen)) {
    slices.logSlice(config, false);
    slices.listenSlice(config);
    slices.storageSlice(config);
    slices.redisSlice(config);
    slices.fanoutSlice(config);
    slices.cacheSlice(config);
    slices.presenceSlice(config);
    slices.tokenSlice(config, undefined);
    slices.apiKeySlice(config);
    slices.walletSlice(config);
    slices.guestSlice(config, 'of the folder');
    slices.rateSlice(config);
    slices.requestRateSlice(config);
    slices.streamSlice(config);
    slices.jobSlice(config);
    slices.ledgerSlice(config);
    slices.laneSlice(config);
    slices.uploadSlice(config, 'of the folder');
    slices.outgoingSlice(config);
    slices.webhookSlice(config);
    slices.pushSlice(config, undefined);
    slices.messagingSlice(config);
    slices.gatewaySlice(config, machine);
    slices.stopSlice(config);
  }
  const unread = Object.keys(configKeys).filter((name) => !read.has(name));
  // the cap of connections depends on the machine; the others decide which parts there are
  expect(unread).toEqual(['nodeName', 'workers', 'socketioInterop', 'maxConnections']);
});
