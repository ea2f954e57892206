/** Watching as clients see it, on one node. */
import { describe, expect, it } from 'vitest';
import { io } from 'socket.io-client';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { connectRaw } from '../support/raw-client.ts';
import { tokenOf } from '../support/server.ts';
import { type StockClient } from '../support/stock-client.ts';
import { total } from '../support/metrics.ts';
import { until } from '../support/until.ts';

const { server, connect } = await stage();
const clients: StockClient[] = [];

async function enter(user: string): Promise<StockClient> {
  const client = await connect(user);
  clients.push(client);
  return client;
}

/** A group of the first user with the others, who need not be there. */
async function group(owner: StockClient, id: string, ...others: string[]): Promise<void> {
  await owner.ok('room:create', { kind: 'group', name: id, id });
  for (const user of others) await owner.ok('room:invite', { room: id, user });
}

const states = (client: StockClient, user: string) =>
  client
    .received('presence')
    .filter((event) => event.user === user)
    .map(({ online, hidden }) => (hidden ? 'hidden' : online));

const names = (from: number, count: number) => Array.from({ length: count }, (_, i) => `many-${from + i}`);

describe('presence', () => {
  it('is of oneself and of users in a shared room, and of no other user', async () => {
    const [ann] = [await enter('see-ann'), await enter('see-ben'), await enter('see-stranger')];
    await group(ann, 'see', 'see-ben', 'see-away');
    const users = ['see-ann', 'see-ben', 'see-away', 'see-stranger', 'see-nobody'];
    const expected = { 'see-ann': { online: true }, 'see-ben': { online: true }, 'see-away': { online: false } };
    expect((await ann.ok('presence:get', { users })).presence).toEqual(expected);
    expect((await ann.ok('presence:watch', { users })).presence).toEqual(expected);
    expect((await ann.ok('presence:get', { users: [] })).presence).toEqual({});
    // no watcher gets a stranger's changes: those of a member arrive around them
    const stranger = await enter('see-nobody');
    const offline = await enter('see-away');
    await until('the member is reported', () => states(ann, 'see-away').length === 1);
    expect(ann.received('presence')).toEqual([{ user: 'see-away', online: true }]);
    stranger.close();
    offline.close();
  });

  it('changes after an absence that lasts, with the time of the departure; a short absence is silent', async () => {
    const [ann, ben] = [await enter('flap-ann'), await enter('flap-ben')];
    await group(ann, 'flap', 'flap-ben');
    await ann.ok('presence:watch', { users: ['flap-ben'] });
    for (let i = 0; i < 5; i++) {
      ben.socket.disconnect();
      await until('he is gone here', async () => (await ann.ok('session:list', {})).sessions.length === 1);
      ben.socket.connect();
      await until('he is back', () => ben.received('ready').length === i + 2);
    }
    const from = Date.now();
    ben.close();
    // short absences count as presence, in answers too
    expect((await ann.ok('presence:get', { users: ['flap-ben'] })).presence).toEqual({ 'flap-ben': { online: true } });
    const received = await ann.event('presence');
    expect(Date.now() - from).toBeGreaterThan(4500);
    expect(received).toEqual({ user: 'flap-ben', online: false, lastSeen: expect.any(Number) as number });
    expect(Math.abs((received.lastSeen ?? 0) - from)).toBeLessThan(2000);
    expect(states(ann, 'flap-ben')).toEqual([false]);
    expect((await ann.ok('presence:get', { users: ['flap-ben'] })).presence['flap-ben']).toEqual({
      online: false,
      lastSeen: received.lastSeen,
    });
    await enter('flap-ben');
    await until('she gets the change', () => states(ann, 'flap-ben').length === 2);
    expect(states(ann, 'flap-ben')).toEqual([false, true]);
  });

  it('counts devices, by long-polling as well, and ends with the namespace', async () => {
    const [ann, ben] = [await enter('dev-ann'), await enter('dev-ben')];
    await group(ann, 'dev', 'dev-ben', 'dev-fence');
    const polling = io(server.url, {
      transports: ['polling'],
      auth: { token: await tokenOf('dev-ben') },
      forceNew: true,
      reconnection: false,
    });
    await new Promise((resolve) => polling.once('ready', resolve));
    await ann.ok('presence:watch', { users: ['dev-ben', 'dev-fence'] });
    ben.close();
    const raw = await connectRaw(server.url, await tokenOf('dev-fence'));
    await until('the fence comes', () => states(ann, 'dev-fence').length === 1);
    // the connection stays, the namespace is left
    raw.send('41');
    await until('the fence goes', () => states(ann, 'dev-fence').length === 2);
    expect(states(ann, 'dev-ben')).toEqual([]);
    polling.disconnect();
    await until('he is gone', () => states(ann, 'dev-ben').length === 1);
    await raw.close();
  });

  it('comes to every watcher, in their own form, until they unwatch', async () => {
    const [ann, phone, ben] = [await enter('un-ann'), await enter('un-ann'), await enter('un-ben')];
    await group(ann, 'un', 'un-ben', 'un-x', 'un-y');
    for (const client of [ann, phone]) await client.ok('presence:watch', { users: ['un-x', 'un-y', 'un-x'] });
    expect(await ann.ok('presence:unwatch', { users: ['un-x', 'never-watched'] })).toEqual({});
    await ben.ok('presence:watch', { users: ['un-x', 'un-y'] });
    await ben.ok('presence:unwatch', {});
    await enter('un-x');
    await enter('un-y');
    await until('the phone gets both', () => phone.received('presence').length === 2);
    await until('the other gets one', () => ann.received('presence').length === 1);
    expect(ann.received('presence')).toEqual([{ user: 'un-y', online: true }]);
    expect(ben.received('presence')).toEqual([]);
  });

  it('ends for a watcher when the last room that they share is gone, and not before', async () => {
    const [ann, ben] = [await enter('end-ann'), await enter('end-ben')];
    await group(ann, 'end-1', 'end-ben');
    await group(ann, 'end-2', 'end-ben');
    await ann.ok('presence:watch', { users: ['end-ben'] });
    await ben.ok('presence:watch', { users: ['end-ann'] });
    await ben.ok('room:leave', { room: 'end-1' });
    expect((await ann.ok('presence:get', { users: ['end-ben'] })).presence).toHaveProperty('end-ben');
    await ben.ok('room:leave', { room: 'end-2' });
    await until(
      'both get the change',
      () => states(ann, 'end-ben').length === 1 && states(ben, 'end-ann').length === 1,
    );
    expect([states(ann, 'end-ben'), states(ben, 'end-ann')]).toEqual([['hidden'], ['hidden']]);
    expect((await ann.ok('presence:watch', { users: ['end-ben'] })).presence).toEqual({});
  });

  it('ends too without an event of the room, within the round', { timeout: 60_000 }, async () => {
    const [ann] = [await enter('round-ann'), await enter('round-ben')];
    await group(ann, 'round', 'round-ben');
    await ann.ok('presence:watch', { users: ['round-ben'] });
    await server.database.sql`delete from members where room_id = 'round' and user_id = 'round-ben'`;
    await until('the watch has ended', () => states(ann, 'round-ben').length === 1, 40_000);
    expect(states(ann, 'round-ben')).toEqual(['hidden']);
  });

  it(`is watched for ${limits.presenceWatched} users by one connection, and not for one more`, async () => {
    const ann = await enter('many-ann');
    await group(ann, 'many');
    await server.database.sql`
      with new as (
        insert into users (id) select 'many-' || n from generate_series(0, ${limits.presenceWatched}) n returning id)
      insert into members (room_id, user_id, role) select 'many', id, 'member' from new`;
    for (let at = 0; at < limits.presenceWatched; at += limits.presenceUsers) {
      const users = names(at, limits.presenceUsers);
      expect(Object.keys((await ann.ok('presence:watch', { users })).presence)).toEqual(users);
    }
    const last = `many-${limits.presenceWatched}`;
    expect(await ann.error('presence:watch', { users: [last] })).toMatchObject({ code: 'limit_reached' });
    // users that the connection watches already may be requested again
    await ann.ok('presence:watch', { users: names(0, 3) });
    expect((await server.metrics()).get('parley_presence_watched')).toBeGreaterThanOrEqual(limits.presenceWatched);
    await ann.ok('presence:unwatch', { users: ['many-0'] });
    await ann.ok('presence:watch', { users: [last] });
    for (const command of ['presence:get', 'presence:watch', 'presence:unwatch']) {
      expect(await ann.error(command, { users: names(0, limits.presenceUsers + 1) })).toMatchObject({
        code: 'invalid',
      });
    }
    // many at once cannot pass it together
    const phone = await enter('many-ann');
    const pages = Array.from({ length: 11 }, (_, i) => names(i * 91, 91));
    const outcomes = await Promise.allSettled(pages.map((users) => phone.ok('presence:watch', { users })));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  });

  it('leaves nothing behind when watchers go', async () => {
    for (const client of clients.splice(0)) client.close();
    await until('nobody watches', async () => (await server.metrics()).get('parley_presence_watched') === 0);
    const metrics = await server.metrics();
    expect(metrics.get('parley_users')).toBe(0);
    expect(total(metrics, 'parley_presence_changes_total')).toBeGreaterThan(0);
    expect([...metrics.keys()].join('\n')).not.toMatch(/flap-|many-/);
  });
});
