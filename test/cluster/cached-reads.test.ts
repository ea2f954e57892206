/**
 * Every kind of cached value, through REST on two nodes with one Redis. After the answer to a write on one node, no node
 * answers with an older value. Readers on both nodes keep the values cached, and their loads race with the writes.
 */
import { expect, it } from 'vitest';
import { kindNames, type KindName } from '../../src/storage/cache/kinds.ts';
import { stage } from '../stage.ts';
import { makeKey, request, type Answered, type Asking } from '../api/keys-routes.ts';
import { parseMetrics } from '../support/metrics.ts';
import { until } from '../support/until.ts';

const { nodes, sql, people, connect } = await stage({ people: ['owner', 'ann', 'ben'], nodes: 2 });
const key = (await makeKey(sql, { scopes: ['users', 'rooms', 'members', 'publish', 'messages:read'] })).text;
const rounds = 12;

const call = (node: number, method: string, path: string, asking: Asking = {}): Promise<Answered> =>
  request(nodes[node]?.url ?? '', method, path, { bearer: key, ...asking });

interface Subject {
  /** Writes the value of a round on the first node. */
  readonly write: (round: number) => Promise<Answered>;
  /** Reads on a node. @returns the round whose value the node answered with */
  readonly read: (node: number) => Promise<number>;
}

/** The round is the number at the end of the text. */
const roundIn = (text: unknown): number => Number(/(\d+)$/.exec(String(text))?.[1] ?? 0);

const channel = async (id: string): Promise<void> => {
  await people.owner.ok('room:create', { kind: 'channel', name: `${id} 0`, id });
  await people.ann.ok('room:join', { room: id });
  await people.ben.ok('room:join', { room: id });
};

/** The names of members with their messages, as a key that acts for the user sends them. */
async function ofNames(): Promise<Subject> {
  await channel('names');
  const seen = new Map<string, string | null>();
  const watcher = await connect('ben');
  watcher.socket.on('message', ({ id, name }: { id: string; name: string | null }) => seen.set(id, name));
  return {
    write: (round) => call(0, 'PUT', '/users/ann', { body: { name: `Ann ${round}` } }),
    read: async (node) => {
      const id = crypto.randomUUID();
      const sent = await call(node, 'POST', '/rooms/names/messages', { user: 'ann', body: { id, body: 'x' } });
      expect(sent.status).toBe(201);
      await until('the message has come', () => seen.has(id));
      return roundIn(seen.get(id));
    },
  };
}

async function ofProfiles(): Promise<Subject> {
  await call(0, 'PUT', '/users/cat', { body: { name: 'Cat 0' } });
  return {
    // every other write changes a field that is no name
    write: (round) => call(0, 'PATCH', '/users/cat', { body: { avatar: `https://example.com/${round}` } }),
    read: async (node) => roundIn((await call(node, 'GET', '/users/cat')).body['avatar']),
  };
}

/** The owner of the room is `ann` or `ben` by turns, and the key acts as the owner. */
async function ofOwners(): Promise<Subject> {
  await channel('owned');
  const owners: string[] = ['owner'];
  return {
    write: (round) => {
      owners[round] = ['owner', 'ann', 'ben'][round % 3] ?? '';
      return call(0, 'PUT', '/rooms/owned/owner', { body: { user: owners[round] } });
    },
    read: async (node) => {
      const at = owners.length - 1;
      const { status, body } = await call(node, 'GET', '/rooms/owned');
      expect(status).toBe(200);
      // a former owner is an admin; the owner of the request may have become one meanwhile
      return (body['room'] as { role: string }).role === 'owner' || owners.length - 1 > at ? at : at - 1;
    },
  };
}

async function finds(node: number, round: number): Promise<boolean> {
  const page = await call(node, 'GET', `/search/rooms?query=zebra${round}`, { user: 'ann' });
  expect(page.status).toBe(200);
  return (page.body['items'] as { id: string }[]).some(({ id }) => id === 'found');
}

async function ofSearches(): Promise<Subject> {
  await channel('found');
  let [begun, stored] = [0, 0];
  return {
    write: async (round) => {
      begun = round;
      const written = await call(0, 'PATCH', '/rooms/found', { body: { name: `zebra${round}` } });
      stored = round;
      return written;
    },
    read: async (node) => {
      const at = stored;
      // the name of the next round must not stay unfound: the reader asks for it before it is there
      await finds(node, at + 1);
      return at === 0 || (await finds(node, at)) || begun > at ? at : at - 1;
    },
  };
}

const subjects: Readonly<Record<KindName, () => Promise<Subject>>> = {
  user: ofNames,
  profile: ofProfiles,
  roomOwner: ofOwners,
  channelSearch: ofSearches,
};

it.each(kindNames)(
  'no node answers with an older value than a finished write: %s',
  { timeout: 120_000 },
  async (kind) => {
    const { write, read } = await subjects[kind]();
    let [finished, over] = [0, false];
    const older: string[] = [];
    const reader = async (node: number): Promise<void> => {
      while (!over) {
        const least = finished;
        const got = await read(node);
        if (got < least) older.push(`node ${node}: ${got} after ${least}`);
      }
    };
    const readers = Promise.all([0, 1].map((node) => reader(node)));
    const writer = async (): Promise<void> => {
      for (let round = 1; round <= rounds; round++) {
        const { status } = await write(round);
        expect(status).toBe(200);
        finished = round;
        expect(await Promise.all([read(1), read(0)])).toEqual([round, round]);
      }
    };
    await Promise.all([readers, writer().finally(() => (over = true))]);
    expect(older).toEqual([]);
    const hits = await Promise.all(nodes.map(({ url }) => hitsOf(url, kind)));
    expect(hits.every((count) => count > 0)).toBe(true);
  },
);

async function hitsOf(url: string, kind: KindName): Promise<number> {
  const metrics = parseMetrics(await (await fetch(`${url}/metrics`)).text());
  return metrics.get(`parley_cache_reads_total{kind="${kind}",result="local"}`) ?? 0;
}
