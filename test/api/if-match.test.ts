/**
 * `If-Match` is compared in the statement that writes. Once the server compared the tag in a read before the write, so that
 * several writers with one tag passed. Each test holds the row while the writers read and compare, and then lets them write.
 */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';
import { makeKey, request, type Answered, type Asking } from './keys-routes.ts';

const { server, nodes, sql, people, room, say } = await stage({ people: ['owner', 'ann', 'ben'], nodes: 2 });
const key = (await makeKey(sql, { scopes: ['users', 'rooms', 'publish', 'messages:read'] })).text;
const bearers = { owner: await tokenOf('owner', { name: 'OWNER' }), ann: await tokenOf('ann', { name: 'ANN' }) };

/** Alternates between the nodes. */
const call = (n: number, method: string, path: string, asking: Asking): Promise<Answered> =>
  request(nodes[n % 2]?.url ?? server.url, method, path, asking);

const tagOf = async (path: string, asking: Asking): Promise<string> => {
  const { status, headers } = await call(0, 'GET', path, asking);
  expect(status).toBe(200);
  return headers.get('etag') ?? '';
};

/** Statements that wait for a row. Changes of messages wait in their node, so each of them is on a node of its own. */
async function waiting(): Promise<number> {
  const [row] = await sql<[{ count: number }]>`
    select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return row.count;
}

/** Runs the writers while a row is held, until all of them wait to write. */
async function behind<T>(held: 'rooms' | 'users', id: string, writers: readonly (() => Promise<T>)[]): Promise<T[]> {
  const running: Promise<T>[] = [];
  await sql.begin(async (tx) => {
    await tx`select from ${tx(held)} where id = ${id} for update`;
    for (const [n, writer] of writers.entries()) {
      running.push(writer());
      await until(`${n + 1} writers wait`, async () => (await waiting()) > n);
    }
  });
  return Promise.all(running);
}

const statuses = (answers: readonly Answered[]): number[] => answers.map(({ status }) => status).toSorted();

it('of two edits with one tag, one passes', async () => {
  const id = await room();
  const seq = await say('ann', id, 'first');
  const path = `/rooms/${id}/messages/${seq}`;
  const asking = { bearer: bearers.ann, headers: { 'if-match': await tagOf(path, { bearer: bearers.ann }) } };
  const edit = (n: number) => () => call(n, 'PATCH', path, { ...asking, body: { body: { text: `edit ${n}` } } });
  const answers = await behind('rooms', id, [edit(0), edit(1)]);
  expect(statuses(answers)).toEqual([200, 412]);
  const stored = await people.ann.ok('message:get', { room: id, seq });
  const winner = answers.findIndex(({ status }) => status === 200);
  expect(stored.message).toMatchObject({ rev: 2, body: { text: `edit ${winner}` } });
});

it.each(['DELETE', 'PATCH'])('a %s of a message with a tag does not pass after an edit by socket', async (method) => {
  const id = await room();
  const seq = await say('ann', id, 'first');
  const path = `/rooms/${id}/messages/${seq}`;
  const headers = { 'if-match': await tagOf(path, { bearer: bearers.ann }) };
  const bySocket = async (): Promise<Answered | undefined> => {
    await people.ann.ok('message:edit', { room: id, seq, body: { text: 'by socket' } });
    return undefined;
  };
  const body = method === 'PATCH' ? { body: { body: { text: 'by REST' } } } : {};
  const byRest = () => call(1, method, path, { bearer: bearers.ann, headers, ...body });
  const [, late] = await behind('rooms', id, [bySocket, byRest]);
  expect(late).toMatchObject({ status: 412, body: { code: 'precondition_failed' } });
  const stored = await people.ann.ok('message:get', { room: id, seq });
  expect(stored.message).toMatchObject({ rev: 2, body: { text: 'by socket' } });
});

it('a deletion with the present tag passes, and one that repeats it with the old tag does not', async () => {
  const id = await room();
  const seq = await say('ann', id, 'first');
  const path = `/rooms/${id}/messages/${seq}`;
  const asking = { bearer: bearers.owner, headers: { 'if-match': await tagOf(path, { bearer: bearers.owner }) } };
  const once = () => call(0, 'DELETE', path, asking);
  expect(statuses(await behind('rooms', id, [once, () => call(1, 'DELETE', path, asking)]))).toEqual([200, 412]);
  expect(await once()).toMatchObject({ status: 412 });
});

it('of two changes of a room with one tag, one passes', async () => {
  const id = await room();
  const asking = { bearer: bearers.owner };
  const headers = { 'if-match': await tagOf(`/rooms/${id}`, asking) };
  const change = (n: number) => () =>
    call(n, 'PATCH', `/rooms/${id}`, { ...asking, headers, body: { topic: `topic ${n}` } });
  expect(statuses(await behind('rooms', id, [change(0), change(1), change(2)]))).toEqual([200, 412, 412]);
});

it('a change of a room with a tag does not pass after a change by socket that came between', async () => {
  const id = await room();
  const asking = { bearer: bearers.owner };
  const headers = { 'if-match': await tagOf(`/rooms/${id}`, asking) };
  const bySocket = async (): Promise<Answered | undefined> => {
    await people.owner.ok('room:update', { room: id, topic: 'by socket' });
    return undefined;
  };
  const byRest = () => call(1, 'PATCH', `/rooms/${id}`, { ...asking, headers, body: { name: 'By REST' } });
  const [, late] = await behind('rooms', id, [bySocket, byRest]);
  expect(late).toMatchObject({ status: 412 });
  expect((await people.owner.ok('room:get', { room: id })).room).toMatchObject({ name: id, topic: 'by socket' });
});

it('of two new roles with one tag, one passes', async () => {
  const id = await room();
  const path = `/rooms/${id}/members/ann`;
  const headers = { 'if-match': await tagOf(path, { bearer: bearers.owner }) };
  const give = (n: number, role: string) => () =>
    call(n, 'PATCH', path, { bearer: bearers.owner, headers, body: { role } });
  expect(statuses(await behind('rooms', id, [give(0, 'admin'), give(1, 'guest')]))).toEqual([200, 412]);
});

it('of two changes of a profile with one tag, one passes', async () => {
  for (const method of ['PATCH', 'PUT']) {
    await call(0, 'PUT', '/users/cat', { bearer: key, body: { name: 'Cat' } });
    const headers = { 'if-match': await tagOf('/users/cat', { bearer: key }) };
    const change = (n: number) => () =>
      call(n, method, '/users/cat', { bearer: key, headers, body: { name: `Cat ${n}` } });
    expect(statuses(await behind('users', 'cat', [change(0), change(1)]))).toEqual([200, 412]);
  }
});

it('of two changes of the own profile with one tag, one passes', async () => {
  const headers = { 'if-match': await tagOf('/me', { bearer: bearers.ann }) };
  const change = (n: number) => () =>
    call(n, 'PATCH', '/me', { bearer: bearers.ann, headers, body: { zone: n === 0 ? 'UTC' : 'Asia/Tokyo' } });
  expect(statuses(await behind('users', 'ann', [change(0), change(1)]))).toEqual([200, 412]);
});

it('a star asks for an object that exists', async () => {
  const headers = { 'if-match': '*' };
  expect(await call(0, 'PUT', '/users/dan', { bearer: key, headers, body: { name: 'Dan' } })).toMatchObject({
    status: 412,
  });
  expect(await call(0, 'GET', '/users/dan', { bearer: key })).toMatchObject({ status: 404 });
  await call(0, 'PUT', '/users/dan', { bearer: key, body: { name: 'Dan' } });
  const put = await call(0, 'PUT', '/users/dan', { bearer: key, headers, body: { name: 'Daniel' } });
  expect(put).toMatchObject({ status: 200, body: { name: 'Daniel' } });
});

it('a repeated write with a tag and an Idempotency-Key gets its first answer', async () => {
  const id = await room();
  const asking = { bearer: bearers.owner };
  const headers = { 'if-match': await tagOf(`/rooms/${id}`, asking), 'idempotency-key': `topic-${id}` };
  const change = () => call(0, 'PATCH', `/rooms/${id}`, { ...asking, headers, body: { topic: 'once' } });
  const first = await change();
  expect(first).toMatchObject({ status: 200, body: { room: { topic: 'once' } } });
  const again = await change();
  expect(again).toMatchObject({ status: 200, body: first.body });
  expect(again.headers.get('idempotency-replay')).toBe('true');
});

it('a write that compares no tag refuses the header', async () => {
  const id = await room();
  const headers = { 'if-match': '"a"' };
  const archived = await call(0, 'DELETE', `/rooms/${id}`, { bearer: bearers.owner, headers });
  expect(archived).toMatchObject({ status: 400, body: { code: 'invalid' } });
  expect(await call(0, 'GET', `/rooms/${id}`, { bearer: bearers.owner })).toMatchObject({ status: 200 });
});
