/** A client whose machine slept, changed its network, or whose page was hidden. */
import { afterEach, expect, it, vi } from 'vitest';
import { listen } from '../../src/client/page.ts';
import { subjectOf } from '../../src/client/token.ts';
import { tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { FakeServer } from './fake-server.ts';

let server: FakeServer;
const page = new EventTarget();
afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  await server.stop();
});

/** The part of a window that the client uses. */
function openWindow(): void {
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
}

function sleep(): void {
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(5000);
}

it('probes the link after a jump of the clock, and leaves a dead one', async () => {
  // The clock is the test's; the sockets go on by themselves.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  server = await FakeServer.start();
  server.handlers['presence:get'] = () => ({ presence: {} });
  const client = server.connect();
  await server.session(0);
  await until('it is connected', () => client.state.value.status === 'connected');
  vi.advanceTimersByTime(60_000);
  expect(server.inputs('presence:get')).toEqual([]);
  sleep();
  await until('the link is probed', () => server.inputs('presence:get').length === 1);
  expect(client.state.value.status).toBe('connected');
  // Answers come in order, so that the answer to the probe is there.
  await client.call('presence:get', { users: [] });
  server.handlers = {};
  sleep();
  vi.setSystemTime(Date.now() + 1);
  await server.session(1);
  await until('it is connected again', () => client.state.value.status === 'connected');
});

// A probe in flight once suppressed the next one, so that an answer from before a sleep passed for a sign of life after it.
it('probes the link at each check, also while a probe has no answer yet', async () => {
  openWindow();
  server = await FakeServer.start();
  const client = server.connect();
  await until('it is connected', () => client.state.value.status === 'connected');
  page.dispatchEvent(new Event('online'));
  page.dispatchEvent(new Event('online'));
  await until('both probes arrive', () => server.inputs('presence:get').length === 2);
});

it('connects at once when the network is back, but not before the retryAfter of the server', async () => {
  openWindow();
  server = await FakeServer.start();
  const client = server.connect();
  await until('it is connected', () => client.state.value.status === 'connected');
  page.dispatchEvent(new Event('offline'));
  expect(client.state.value.status).toBe('waiting');
  page.dispatchEvent(new Event('online'));
  expect(client.state.value.status).toBe('connecting');
  await until('it is connected', () => client.state.value.status === 'connected');
  server.options.refuse = () => ({ code: 'overloaded', retryable: true, retryAfter: 60_000 });
  page.dispatchEvent(new Event('offline'));
  page.dispatchEvent(new Event('online'));
  await until('it was refused', () => client.state.value.status === 'waiting' && 'error' in client.state.value);
  page.dispatchEvent(new Event('online'));
  expect(client.state.value.status).toBe('waiting');
});

it('closes its connection with the page, and connects again when the page is shown', async () => {
  openWindow();
  server = await FakeServer.start();
  const client = server.connect();
  await until('it is connected', () => client.state.value.status === 'connected');
  page.dispatchEvent(new Event('pagehide'));
  expect(client.state.value).toEqual({ status: 'connecting', attempt: 0 });
  page.dispatchEvent(new Event('pageshow'));
  await server.session(1);
  await until('it is connected again', () => client.state.value.status === 'connected');
  // A page that is shown for the first time has nothing to come back to.
  page.dispatchEvent(new Event('pageshow'));
  expect(client.state.value.status).toBe('connected');
  client.close();
  page.dispatchEvent(new Event('pageshow'));
  expect(client.state.value.status).toBe('closed');
});

/** Web Locks, as tabs use them: a name has one holder, the others wait in the order they came. */
function lockManager() {
  const last = new Map<string, Promise<unknown>>();
  return {
    request(name: string, { signal }: { signal?: AbortSignal }, granted: () => Promise<void>): Promise<void> {
      const before = last.get(name) ?? Promise.resolve();
      const held = before.then(() => (signal?.aborted === true ? undefined : granted()));
      last.set(name, held);
      return held;
    },
  };
}

it('probes the link when a tab becomes visible that does not have it', async () => {
  vi.stubGlobal('navigator', { locks: lockManager() });
  server = await FakeServer.start();
  server.handlers['presence:get'] = () => ({ presence: {} });
  const [first, second] = [new EventTarget(), new EventTarget()];
  for (const document of [first, second]) {
    // Each listens to its own.
    vi.stubGlobal('document', document);
    const tab = server.connect('token', { user: 'me' });
    await until('it is connected', () => tab.state.value.status === 'connected');
  }
  expect(server.sessions).toHaveLength(1);
  second.dispatchEvent(new Event('visibilitychange'));
  await until('the link is probed', () => server.inputs('presence:get').length === 1);
  first.dispatchEvent(new Event('visibilitychange'));
  await until('the link is probed again', () => server.inputs('presence:get').length === 2);
});

it('does not renew tokens in a circle when its clock runs ahead', async () => {
  server = await FakeServer.start({ expiresIn: -60_000 });
  server.handlers['auth:refresh'] = () => ({ expires: Date.now() - 60_000 });
  let tokens = 0;
  const client = server.connect(() => `token ${(tokens += 1)}`);
  await until('it was refreshed', () => server.inputs('auth:refresh').length === 1);
  // a renewal that is due at once would be sent between these requests
  server.handlers['presence:get'] = () => ({ presence: {} });
  for (let n = 0; n < 20; n++) await client.call('presence:get', { users: [] });
  expect(server.inputs('auth:refresh')).toHaveLength(1);
  expect(client.state.value.status).toBe('connected');
});

it('reads the user of a JWT, and undefined from any other token', async () => {
  server = await FakeServer.start();
  expect(subjectOf(await tokenOf('ann@example.org'))).toBe('ann@example.org');
  for (const token of ['', 'opaque', 'a.b.c', 'a.bm9wZQ.c', `a.${btoa('{"sub":1}')}.c`]) {
    expect(subjectOf(token)).toBeUndefined();
  }
  expect(listen('document', 'freeze', () => undefined)()).toBeUndefined();
});
