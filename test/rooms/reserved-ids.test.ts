/** Ids that back ends may emit to without reaching a room that a user made. */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { connectStock, openStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const { server, connect } = await stage();

it('a room with the id backend:… is made by a back end alone', async () => {
  const ann = await connect('ann');
  const backend = await connect('crm', { backend: true });
  const staff = { kind: 'group', name: 'Staff', id: 'backend:staff-alerts' } as const;
  for (const kind of ['group', 'channel']) {
    expect(await ann.error('room:create', { ...staff, kind })).toMatchObject({
      code: 'forbidden',
      message: 'id: ids that begin with backend: are for back ends.',
    });
  }
  expect(await backend.ok('room:create', staff)).toMatchObject({ created: true });
  await backend.ok('room:invite', { room: staff.id, user: 'ann' });
  await ann.ok('message:send', { room: staff.id, id: crypto.randomUUID(), body: 'seen' });
  // an id that only looks like it is free
  await ann.ok('room:create', { ...staff, id: 'backends' });
});

it('a user with the id backend:… needs a token of a back end', async () => {
  const users = { plain: await tokenOf('backend:bot'), marked: await tokenOf('backend:bot', { backend: true }) };
  const refused = openStock(server.url, { token: users.plain });
  let message: string | undefined;
  refused.socket.on('connect_error', (error) => (message = error.message));
  expect(await until('it is refused', () => message)).toContain("The token's sub begins with backend:");
  refused.close();
  (await connectStock(server.url, users.marked)).close();
});
