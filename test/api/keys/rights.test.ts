/** Every combination of scopes, rooms, networks, expiry, rotation and revocation of a key, on a real table. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KeyCreateInput } from '../../../src/protocol/keys.ts';
import { scopes, type Scope } from '../../../src/protocol/scopes.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { dayMs, refusal, startNode, wanted, type KeyNode } from './nodes.ts';

const hourMs = 3_600_000;
let database: TestDatabase;
let node: KeyNode;
/** Its clock is two hours ahead, so that keys of an hour have expired there. */
let later: KeyNode;

beforeAll(async () => {
  database = await createTestDatabase();
  node = await startNode(database.url);
  later = await startNode(database.url, { aheadMs: 2 * hourMs });
});
afterAll(async () => {
  await node.stop();
  await later.stop();
  await database.drop();
});

const givenScopes: readonly Scope[][] = [['publish'], ['rooms', 'members'], ['messages:read', 'operate'], ['admin']];
const givenRooms = [
  { rooms: ['*'], inside: ['lobby', 'team-red', 'x'], outside: [] },
  {
    rooms: ['team-*', 'hall'],
    inside: ['team-red', 'team-', 'hall'],
    outside: ['lobby', 'team', 'xteam-red', 'hall2'],
  },
];
const givenNetworks = [
  { networks: [], inside: ['203.0.113.9', '2001:db8::1', ''], outside: [] },
  {
    networks: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'],
    inside: ['10.255.0.1', '2001:db8:ffff::1', '192.0.2.7', '::ffff:10.1.2.3'],
    outside: ['11.0.0.1', '2001:db9::1', '192.0.2.8', '::1', ''],
  },
];
const lives = ['for ever', 'an hour'] as const;
const rotations = ['none', 'with an overlap', 'at once'] as const;

const cases = givenScopes.flatMap((given) =>
  givenRooms.flatMap((rooms) =>
    givenNetworks.flatMap((networks) =>
      lives.flatMap((life) => rotations.map((rotation) => ({ given, rooms, networks, life, rotation }))),
    ),
  ),
);

it('there are as many cases as combinations', () => {
  expect(cases).toHaveLength(4 * 2 * 2 * 2 * 3);
});

// at once, for a row waits four times for the next read of all keys, a tenth of a second each
it.concurrent.each(cases)('$given $rooms.rooms $networks.networks, for $life, rotation $rotation', async (row) => {
  const { given, rooms, networks, life, rotation } = row;
  const input: Partial<KeyCreateInput> = { scopes: given, rooms: rooms.rooms, networks: networks.networks };
  const expiry = life === 'an hour' ? { expiresAt: Date.now() + hourMs } : {};
  const { key: made, text: first } = await node.keys.create(wanted({ ...input, ...expiry }));
  const { id } = made;
  const [address = ''] = networks.inside;

  const valid = new Set([first]);
  const invalid = new Set<string>();
  if (rotation !== 'none') {
    const rotated = await node.keys.rotate({ id, overlapMs: rotation === 'at once' ? 0 : dayMs });
    valid.add(rotated.text);
    if (rotation === 'at once') {
      valid.delete(first);
      invalid.add(first);
    }
  }
  for (const text of valid) {
    const key = await node.keys.verify(text, address);
    expect(scopes.filter((scope) => key.scopes.has(scope))).toEqual(given.includes('admin') ? scopes : given);
    for (const room of rooms.inside) expect([room, key.mayUseRoom(room)]).toEqual([room, true]);
    for (const room of rooms.outside) expect([room, key.mayUseRoom(room)]).toEqual([room, false]);
    for (const from of networks.inside)
      expect([from, await refusal(node.keys.verify(text, from))]).toEqual([from, 'accepted']);
    for (const from of networks.outside)
      expect([from, await refusal(node.keys.verify(text, from))]).toEqual([from, 'forbidden']);
    expect(await refusal(later.keys.verify(text, address))).toBe(life === 'an hour' ? 'unauthorized' : 'accepted');
  }
  for (const text of invalid) expect(await refusal(node.keys.verify(text, address))).toBe('unauthorized');

  await node.keys.revoke({ id });
  for (const text of [...valid, ...invalid])
    expect(await refusal(node.keys.verify(text, address))).toBe('unauthorized');
  expect((await node.keys.list()).map((key) => key.id)).not.toContain(id);
});

it('a secret ends with its overlap, and at once with the next rotation', async () => {
  const { key, text: first } = await node.keys.create(wanted());
  const { text: second } = await node.keys.rotate({ id: key.id, overlapMs: hourMs });
  expect(await refusal(node.keys.verify(first, ''))).toBe('accepted');
  // the second secret first: the other node reads the rotation for it, which may count a second later otherwise
  expect(await refusal(later.keys.verify(second, ''))).toBe('accepted');
  expect(await refusal(later.keys.verify(first, ''))).toBe('unauthorized');
  const { text: third } = await node.keys.rotate({ id: key.id });
  const answers = [first, second, third].map((text) => refusal(node.keys.verify(text, '')));
  expect(await Promise.all(answers)).toEqual(['unauthorized', 'accepted', 'accepted']);
  await node.keys.revoke({ id: key.id });
});
