/** Sessions as their user sees them, and the end of a token on one node and on several. */
import { SignJWT } from 'jose';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { connectRaw, openRaw } from '../support/raw-client.ts';
import { startServer, testSecret, tokenOf, type TestServer } from '../support/server.ts';
import { startRedis, type Service } from '../support/services.ts';
import type { SpawnedServer } from '../support/spawn.ts';
import { connectError, connectStock, openStock, type StockClient } from '../support/stock-client.ts';
import { total } from '../support/metrics.ts';
import { until } from '../support/until.ts';
import { startCluster, type Cluster } from '../presence/cluster.ts';

const clients: StockClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function enter(url: string, token: string): Promise<StockClient> {
  const client = await connectStock(url, token);
  clients.push(client);
  return client;
}

/** A separate token, however many are made in a second. */
let made = 0;
function tokenWith(user: string, claims: Record<string, unknown> = {}, issuedAt?: number): Promise<string> {
  const token = new SignJWT({ nonce: made++, ...claims }).setProtectedHeader({ alg: 'HS256' }).setSubject(user);
  if (issuedAt !== undefined) token.setIssuedAt(issuedAt);
  return token.setExpirationTime('1h').sign(new TextEncoder().encode(testSecret));
}
const seconds = () => Math.floor(Date.now() / 1000);
const sessionOf = (client: StockClient): string => client.received('ready')[0]?.session ?? '';

describe('on one node', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ PARLEY_NODE: 'lone' });
  });
  afterAll(() => server.stop());

  it('lists the live connections of a user, with what they say of themselves', async () => {
    const before = Date.now();
    const first = await enter(server.url, await tokenOf('list-ann'));
    const phone = openStock(
      server.url,
      { token: await tokenOf('list-ann'), device: " Ann's phone " },
      { headers: { 'User-Agent': `Phone/1 \u00e9${'x'.repeat(200)}` } },
    );
    clients.push(phone);
    await phone.event('ready');
    await enter(server.url, await tokenOf('list-ben'));
    const { sessions, complete } = await first.ok('session:list', {});
    expect(complete).toBe(true);
    expect(sessions).toEqual([
      expect.objectContaining({ session: sessionOf(first), user: 'list-ann', device: null, node: 'lone' }),
      expect.objectContaining({ session: sessionOf(phone), device: "Ann's phone" }),
    ]);
    expect(sessions[1]?.agent).toMatch(/^Phone\/1 x+$/);
    expect(sessions[1]?.agent?.length).toBeLessThanOrEqual(120);
    expect(sessions[1]?.address).toMatch(/127\.0\.0\.1/);
    for (const { since } of sessions) expect(since).toBeGreaterThanOrEqual(before);
    // one that is no name is no reason to refuse somebody; what may be shown of it is
    for (const [device, shown] of [
      ['x'.repeat(65), `${'x'.repeat(63)}…`],
      ['', null],
      [5, null],
      ['a\u0000b', 'ab'],
    ]) {
      const odd = openStock(server.url, { token: await tokenOf('list-odd'), device });
      clients.push(odd);
      await odd.event('ready');
      expect((await odd.ok('session:list', {})).sessions[0]?.device).toBe(shown);
      odd.close();
      await until('it is gone', async () => (await server.metrics()).get('parley_users') === 2);
    }
  });

  it('ends a session: the session gets the event and is closed, its token is refused, the others stay', async () => {
    const own = await enter(server.url, await tokenWith('end-ann'));
    const token = await tokenWith('end-ann');
    const lost = await connectRaw(server.url, token);
    const { sessions } = await own.ok('session:list', {});
    const session = sessions.find((one) => one.session !== sessionOf(own))?.session ?? '';
    expect(await own.ok('session:revoke', { session })).toEqual({});
    expect(await lost.next('42["session:revoked"')).toBe(
      `42["session:revoked",${JSON.stringify({ session, reason: 'user' })}]`,
    );
    expect(await lost.untilClosed()).toEqual({ code: 4403, reason: 'session_revoked' });
    expect((await connectError(server.url, { token })).data).toMatchObject({ code: 'unauthorized', retryable: false });
    expect((await own.ok('session:list', {})).sessions).toHaveLength(1);
    expect((await server.metrics()).get('parley_revoked_connections_total{reason="user"}')).toBe(1);
    expect(await own.error('auth:refresh', { token })).toMatchObject({ code: 'unauthorized' });
    // and that it was refused changes nothing for the connection
    expect(await own.ok('presence:get', { users: ['end-ann'] })).toEqual({ presence: { 'end-ann': { online: true } } });
  });

  it('does not end sessions of others, or those that are none', async () => {
    const [ann, ben] = [
      await enter(server.url, await tokenOf('not-ann')),
      await enter(server.url, await tokenOf('not-ben')),
    ];
    expect(await ann.error('session:revoke', { session: sessionOf(ben) })).toMatchObject({ code: 'not_found' });
    for (const input of [{}, { session: '' }, { session: 'x'.repeat(65) }, { session: 'a\u0000' }, { all: false }]) {
      expect(await ann.error('session:revoke', input)).toMatchObject({ code: 'invalid' });
    }
    expect(ben.socket.connected).toBe(true);
  });

  it('ends all sessions but the own one; tokens that come later are good', async () => {
    const own = await enter(server.url, await tokenWith('all-ann', {}, seconds() - 60));
    const tokens = [await tokenWith('all-ann', {}, seconds() - 60), await tokenWith('all-ann')];
    const others = await Promise.all(tokens.map((token) => enter(server.url, token)));
    const bystander = await enter(server.url, await tokenWith('all-ben', {}, seconds() - 60));
    await own.ok('session:revoke', { all: true });
    for (const other of others) await until('it is closed', () => !other.socket.connected);
    for (const token of tokens) {
      expect((await connectError(server.url, { token })).data).toMatchObject({ code: 'unauthorized' });
    }
    expect(own.socket.connected && bystander.socket.connected).toBe(true);
    await until('a new token is of a later second', async () => {
      const token = await tokenWith('all-ann', {}, seconds());
      const client = openStock(server.url, { token });
      clients.push(client);
      return Promise.race([
        client.event('ready').then(() => true),
        new Promise<false>((resolve) => client.socket.once('connect_error', () => resolve(false))),
      ]);
    });
  });

  it('knows tokens by their jti, if they have one', async () => {
    const own = await enter(server.url, await tokenWith('jti-ann', { jti: 'own' }));
    const lost = await enter(server.url, await tokenWith('jti-ann', { jti: 'lost' }));
    await own.ok('session:revoke', { session: sessionOf(lost) });
    const again = await tokenWith('jti-ann', { jti: 'lost', name: 'Ann' });
    expect((await connectError(server.url, { token: again })).data).toMatchObject({ code: 'unauthorized' });
    // a jti is its user's
    await enter(server.url, await tokenWith('jti-ben', { jti: 'lost' }));
  });

  it('refuses a revoked token on a connection that has another one already', async () => {
    const own = await enter(server.url, await tokenWith('re-ann'));
    const token = await tokenWith('re-ann');
    const lost = await enter(server.url, token);
    await own.ok('session:revoke', { session: sessionOf(lost) });
    const raw = await openRaw(server.url);
    await raw.next('0{');
    raw.send(`40${JSON.stringify({ token })}`);
    expect(await raw.next('44')).toContain('"unauthorized"');
    raw.send(`40${JSON.stringify({ token: await tokenWith('re-ann') })}`);
    await raw.next('42["ready"');
    await raw.close();
  });

  it('ends sessions by long-polling too', async () => {
    const own = await enter(server.url, await tokenWith('poll-ann'));
    const auth = { token: await tokenWith('poll-ann') };
    const polling = io(server.url, { transports: ['polling'], auth, forceNew: true, reconnection: false });
    const ready = await new Promise<{ session: string }>((resolve) => polling.once('ready', resolve));
    await own.ok('session:revoke', { session: ready.session });
    await until('it is closed', () => !polling.connected);
    expect((await connectError(server.url, auth)).data).toMatchObject({ code: 'unauthorized' });
  });
});

describe('a token with a query to the database under way', () => {
  let server: TestServer;
  const answers = 4711;
  beforeAll(async () => {
    server = await startServer();
    // the answer of the moment of the query, returned when no transaction has the lock
    await server.database.sql.unsafe(`
      alter function token_revoked(text, text, bigint) rename to token_revoked_at_once;
      create function token_revoked(subject text, its_hash text, issued bigint) returns boolean language plpgsql as $$
      declare answer boolean := token_revoked_at_once(subject, its_hash, issued);
      begin
        perform pg_advisory_xact_lock_shared(${answers});
        return answer;
      end $$`);
  });
  afterAll(() => server.stop());

  /** Renews the token and does the work before the database answers. @returns the ack, when it has come. */
  async function renewing(client: StockClient, token: string, work: () => Promise<void>): Promise<{ ok?: boolean }> {
    const ack: { ok?: boolean } = {};
    await server.database.sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${answers})`;
      client.socket.emit('auth:refresh', { token }, (answer: object) => Object.assign(ack, answer));
      await until('the query is under way', async () => {
        const [waiting] =
          await tx`select from pg_locks where locktype = 'advisory' and objid = ${answers} and not granted
          and database = (select oid from pg_database where datname = current_database())`;
        return waiting !== undefined;
      });
      await work();
    });
    return ack;
  }

  it('is not what the end of the session takes back', async () => {
    const own = await enter(server.url, await tokenWith('mid-ann'));
    const token = await tokenWith('mid-ann');
    const lost = await enter(server.url, token);
    await renewing(lost, await tokenWith('mid-ann'), async () => {
      await own.ok('session:revoke', { session: sessionOf(lost) });
      await until('it is closed', () => !lost.socket.connected);
    });
    expect((await connectError(server.url, { token })).data).toMatchObject({ code: 'unauthorized' });
  });

  it('is not taken in, or not for long, when it is revoked meanwhile', async () => {
    const own = await enter(server.url, await tokenWith('late-ann'));
    const token = await tokenWith('late-ann');
    const [other, client] = [await enter(server.url, token), await enter(server.url, await tokenWith('late-ann'))];
    const ack = await renewing(client, token, async () => {
      await own.ok('session:revoke', { session: sessionOf(other) });
    });
    await until('it is refused, or the connection closed', () => ack.ok === false || !client.socket.connected);
  });
});

describe('on several nodes', () => {
  let redis: Service;
  let proxy: Proxy;
  let cluster: Cluster;
  let nodes: SpawnedServer[];
  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startProxy(redis.url);
    cluster = await startCluster(proxy.url);
    nodes = await Promise.all(['one', 'two'].map((name) => cluster.start({ PARLEY_NODE: name })));
  });
  afterAll(async () => {
    await cluster?.stop();
    await proxy?.close();
    await redis?.stop();
  });
  const url = (at: number): string => nodes[at]?.url ?? '';

  it(
    'lists and ends sessions wherever they are, and a token that they share with them',
    { timeout: 60_000 },
    async () => {
      const own = await enter(url(0), await tokenWith('far-ann'));
      const token = await tokenWith('far-ann');
      const [far, near] = [await enter(url(1), token), await enter(url(0), token)];
      const { sessions, complete } = await until('all nodes know each other', async () => {
        const list = await own.ok('session:list', {});
        return list.sessions.length === 3 && list;
      });
      expect(complete).toBe(true);
      expect(sessions.map(({ node }) => node).sort()).toEqual(['one', 'one', 'two']);
      await own.ok('session:revoke', { session: sessionOf(far) });
      for (const lost of [far, near]) {
        await until('it is closed', () => !lost.socket.connected);
        expect(lost.received('session:revoked')).toEqual([{ session: sessionOf(lost), reason: 'user' }]);
      }
      for (const at of [0, 1]) {
        expect((await connectError(url(at), { token })).data).toMatchObject({ code: 'unauthorized' });
      }
    },
  );

  it(
    'ends them as surely while Redis is unavailable; the list says that it is not complete',
    { timeout: 60_000 },
    async () => {
      const own = await enter(url(0), await tokenWith('cut-ann', {}, seconds() - 60));
      const token = await tokenWith('cut-ann', {}, seconds() - 60);
      const far = await enter(url(1), token);
      proxy.cut();
      const list = await until('Redis is unavailable', async () => {
        const answer = await own.ok('session:list', {});
        return !answer.complete && answer;
      });
      expect(list.sessions.map(({ session }) => session)).toEqual([sessionOf(own)]);
      await own.ok('session:revoke', { session: sessionOf(far) });
      await until('it is closed', () => !far.socket.connected);
      const other = await enter(url(1), await tokenWith('cut-ann', {}, seconds() - 60));
      await own.ok('session:revoke', { all: true });
      await until('it is closed', () => !other.socket.connected);
      expect((await connectError(url(1), { token })).data).toMatchObject({ code: 'unauthorized' });
      proxy.restore();
      await until('the nodes find each other again', async () => (await own.ok('session:list', {})).complete);
    },
  );

  it('says when a node does not answer', { timeout: 60_000 }, async () => {
    const own = await enter(url(0), await tokenOf('mute-ann'));
    await enter(url(1), await tokenOf('mute-ann'));
    await until('both are listed', async () => (await own.ok('session:list', {})).sessions.length === 2);
    nodes[1]?.kill('SIGSTOP');
    const { sessions, complete } = await own.ok('session:list', {});
    nodes[1]?.kill('SIGCONT');
    expect({ count: sessions.length, complete }).toEqual({ count: 1, complete: false });
    expect(total(await (nodes[0] as SpawnedServer).metrics(), 'parley_internal_errors_total')).toBe(0);
  });
});
