/** API keys on one node and on two: new keys, wrong keys, revocation, limits, and what the log shows. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { maxWaiting } from '../../../src/api/keys/known-keys.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { startProxy } from '../../support/proxy.ts';
import { until } from '../../support/until.ts';
import { dayMs, lines, refusal, searched, startNode, wanted, type KeyNode, type NodeOptions } from './nodes.ts';

let database: TestDatabase;
const nodes: KeyNode[] = [];
const shown: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 2 });
});
afterEach(async () => {
  vi.useRealTimers();
  for (const node of nodes.splice(0)) await node.stop();
  await database.sql`delete from api_keys`;
});
afterAll(() => database.drop());

async function start(options: NodeOptions = {}, url = database.url): Promise<KeyNode> {
  const node = await startNode(url, options);
  nodes.push(node);
  return node;
}

async function create(node: KeyNode, more: Parameters<typeof wanted>[0] = {}): Promise<{ id: string; text: string }> {
  const { key, text } = await node.keys.create(wanted(more));
  shown.push(text);
  return { id: key.id, text };
}

async function rotate(node: KeyNode, id: string, overlapMs?: number): Promise<string> {
  const { text } = await node.keys.rotate(overlapMs === undefined ? { id } : { id, overlapMs });
  shown.push(text);
  return text;
}

const secretOf = (text: string): string => text.slice(text.lastIndexOf('_') + 1);

/** Keys of the right form that nobody has. */
function wrongKeys(count: number): string[] {
  return Array.from(
    { length: count },
    (_, n) => `pk_${n.toString(36).padStart(12, 'a')}_${n.toString(16).padStart(64, '0')}`,
  );
}

describe('the table', () => {
  it('has the hash of a secret and no secret', async () => {
    const node = await start();
    const { id, text } = await create(node);
    const second = await rotate(node, id);
    const [row] = await database.sql<[{ text: string; length: number; former: number }]>`
      select k::text as text, length(secret_hash) as length, length(previous_hash) as former from api_keys k`;
    expect(row).toMatchObject({ length: 32, former: 32 });
    for (const one of [text, second]) expect(row.text).not.toContain(secretOf(one));
  });

  it('lists keys with the rate of the settings where a key has none', async () => {
    const node = await start({ settings: { requestsPerHour: 77 } });
    const { id } = await create(node, { name: 'One', networks: ['10.0.0.0/8'], expiresAt: Date.now() + dayMs });
    const { id: other } = await create(node, { name: 'Two', scopes: ['rooms', 'publish', 'rooms'], perHour: 5 });
    const list = await node.keys.list();
    expect(list).toMatchObject([
      { id, name: 'One', scopes: ['publish'], rooms: ['*'], networks: ['10.0.0.0/8'], perHour: 77, usedAt: null },
      {
        id: other,
        name: 'Two',
        scopes: ['rooms', 'publish'],
        networks: [],
        perHour: 5,
        expiresAt: null,
        rotatedAt: null,
      },
    ]);
    expect(JSON.stringify(list)).not.toMatch(/hash/);
  });

  it('refuses a key that has expired, and an id that does not exist', async () => {
    const node = await start();
    expect(await refusal(node.keys.create(wanted({ expiresAt: Date.now() - 1000 })))).toBe('invalid');
    expect(await refusal(node.keys.rotate({ id: 'aaaaaaaaaaaa' }))).toBe('not_found');
    expect(await refusal(node.keys.revoke({ id: 'aaaaaaaaaaaa' }))).toBe('not_found');
    expect(await node.keys.list()).toEqual([]);
  });

  it('takes as many keys as the limit and no more, also from two nodes at once', async () => {
    const both = [await start({ settings: { maxKeys: 100 } }), await start({ settings: { maxKeys: 100 } })];
    for (let n = 0; n < 98; n++) await create(both[n % 2] as KeyNode);
    const race = await Promise.all(
      Array.from({ length: 10 }, (_, n) => refusal((both[n % 2] as KeyNode).keys.create(wanted()))),
    );
    expect(race.toSorted()).toEqual(['accepted', 'accepted', ...Array<string>(8).fill('limit_reached')]);
    const [first] = await (both[0] as KeyNode).keys.list();
    expect(await (both[0] as KeyNode).keys.list()).toHaveLength(100);
    const counted = await Promise.all(both.map(({ metric }) => metric('parley_api_key_limit_reached_total')));
    expect(counted.reduce((sum, count) => sum + count, 0)).toBe(8);
    await (both[0] as KeyNode).keys.revoke({ id: first?.id ?? '' });
    expect(await refusal((both[1] as KeyNode).keys.create(wanted()))).toBe('accepted');
    expect(await refusal((both[1] as KeyNode).keys.create(wanted()))).toBe('limit_reached');
  });
});

describe('a node', () => {
  it('accepts a key that another node has just created or rotated', async () => {
    const [one, two] = [await start(), await start()];
    expect(await refusal(two.keys.verify(wrongKeys(1)[0] ?? '', ''))).toBe('unauthorized');
    const { id, text } = await create(one, { perHour: 12 });
    const key = await two.keys.verify(text, '203.0.113.1');
    expect(key).toMatchObject({ id, name: 'Billing', perHour: 12, expiresAt: undefined });
    const second = await rotate(one, id);
    expect(await refusal(two.keys.verify(second, ''))).toBe('accepted');
    expect(await refusal(two.keys.verify(text, ''))).toBe('accepted');
  });

  it('answers nothing about an id: a wrong secret and an unknown id both wait for the same read', async () => {
    const node = await start();
    const { id, text } = await create(node);
    await node.keys.verify(text, '');
    const wrong = [`pk_${id}_${'0'.repeat(64)}`, ...wrongKeys(1)];
    const answers: string[] = [];
    let known = '';
    const pending: Promise<unknown>[] = [];
    await database.sql.begin(async (sql) => {
      await sql`lock table api_key_changes in access exclusive mode`;
      for (const one of wrong) pending.push(refusal(node.keys.verify(one, '')).then((code) => answers.push(code)));
      known = await refusal(node.keys.verify(text, ''));
      await until('the read waits for the lock', async () => {
        const [row] = await database.sql<[{ n: number }]>`
          select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return row.n > 0;
      });
      expect(answers).toEqual([]);
    });
    await Promise.all(pending);
    expect(known).toBe('accepted');
    expect(answers).toEqual(['unauthorized', 'unauthorized']);
  });

  it('refuses what would wait for a read past the limit', async () => {
    const node = await start({ settings: { failuresPerMinutePerAddress: 10_000 } });
    expect(await node.keys.verify(wrongKeys(1)[0] ?? '', '').catch(() => 'started')).toBe('started');
    let last = '';
    const waiting: Promise<string>[] = [];
    await database.sql.begin(async (sql) => {
      await sql`lock table api_key_changes in access exclusive mode`;
      for (const wrong of wrongKeys(maxWaiting)) waiting.push(refusal(node.keys.verify(wrong, '')));
      last = await refusal(node.keys.verify(wrongKeys(1)[0] ?? '', ''));
    });
    expect(last).toBe('overloaded');
    const codes = await Promise.all(waiting);
    expect(codes).toHaveLength(maxWaiting);
    expect(new Set(codes)).toEqual(new Set(['unauthorized']));
  });

  it('refuses an address after as many wrong keys as the limit, and accepts its valid key', async () => {
    const node = await start({ settings: { failuresPerMinutePerAddress: 5 } });
    const { text } = await create(node);
    await node.keys.verify(text, '2001:db8::1');
    const answers = await Promise.all(
      wrongKeys(6).map((wrong, n) => refusal(node.keys.verify(wrong, `2001:db8::${n + 1}`))),
    );
    expect(answers).toEqual([...Array<string>(5).fill('unauthorized'), 'rate_limited']);
    await expect(node.keys.verify(wrongKeys(1)[0] ?? '', '2001:db8::9')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfter: expect.any(Number) as number,
    });
    expect(await refusal(node.keys.verify(text, '2001:db8::9'))).toBe('accepted');
    expect(await refusal(node.keys.verify(wrongKeys(1)[0] ?? '', '2001:db8:0:1::1'))).toBe('unauthorized');
    expect(await node.metric('parley_api_keys_refused_total')).toBe(8);
  });

  it('refuses a text that is no key', async () => {
    const node = await start();
    for (const text of ['', 'pk_', 'Bearer x', 'x'.repeat(100_000)])
      expect(await refusal(node.keys.verify(text, ''))).toBe('unauthorized');
  });
});

describe('a revocation', () => {
  it('counts on its own node at once', async () => {
    const node = await start();
    const { id, text } = await create(node);
    await node.keys.verify(text, '');
    await node.keys.revoke({ id });
    expect(await refusal(node.keys.verify(text, ''))).toBe('unauthorized');
  });

  it('counts on another node within a second, also for its open streams', async () => {
    const [one, two] = [await start(), await start()];
    for (let round = 0; round < 5; round++) {
      const { id, text } = await create(one);
      const ended: string[] = [];
      two.keys.onRevoked(await two.keys.verify(text, ''), () => ended.push(id));
      const other = await create(one);
      two.keys.onRevoked(await two.keys.verify(other.text, ''), () => ended.push(other.id));
      await one.keys.revoke({ id });
      const from = performance.now();
      let lastAccepted = from;
      await until('the key is refused', async () => {
        const began = performance.now();
        const code = await refusal(two.keys.verify(text, ''));
        if (code === 'accepted') lastAccepted = began;
        return code === 'unauthorized';
      });
      expect(lastAccepted - from).toBeLessThan(1000);
      await until('the stream ends', () => ended.length > 0);
      expect(ended).toEqual([id]);
      expect(await refusal(two.keys.verify(other.text, ''))).toBe('accepted');
    }
  });

  it('counts on a node that cannot reach Postgres: after a second the node accepts no key', async () => {
    const proxy = await startProxy(database.url);
    const [one, two] = [await start(), await start({}, proxy.url)];
    const { id, text } = await create(one);
    const { text: stays } = await create(one);
    await two.keys.verify(text, '');
    proxy.cut();
    await one.keys.revoke({ id });
    const from = performance.now();
    let lastAccepted = from;
    await until('keys are refused', async () => {
      const began = performance.now();
      const code = await refusal(two.keys.verify(text, ''));
      if (code === 'accepted') lastAccepted = began;
      return code === 'unavailable';
    });
    expect(lastAccepted - from).toBeLessThan(1000);
    expect(await refusal(two.keys.verify(stays, ''))).toBe('unavailable');
    proxy.restore();
    await until('keys are accepted again', async () => (await refusal(two.keys.verify(stays, ''))) === 'accepted');
    expect(await refusal(two.keys.verify(text, ''))).toBe('unauthorized');
    expect(lines.filter((line) => line.includes('Could not read API keys from Postgres'))).toHaveLength(1);
    await two.stop();
    nodes.splice(nodes.indexOf(two), 1);
    await proxy.close();
  });

  it('counts after a restore of the database, whose version is another one', async () => {
    const node = await start();
    const { id, text } = await create(node);
    await node.keys.verify(text, '');
    await database.sql`delete from api_keys where id = ${id}`;
    await database.sql`update api_key_changes set version = gen_random_uuid()`;
    await until('the key is refused', async () => (await refusal(node.keys.verify(text, ''))) === 'unauthorized');
  });
});

describe('open streams', () => {
  it('end when the key expires or the presented secret ends, and not for another secret of the key', async () => {
    const [node, other] = [await start(), await start()];
    const ended: string[] = [];
    const watch = async (name: string, text: string): Promise<() => void> =>
      node.keys.onRevoked(await node.keys.verify(text, ''), () => ended.push(name));
    const brief = await create(node, { expiresAt: Date.now() + 1500 });
    const { id, text: first } = await create(node);
    await watch('expired', brief.text);
    await until('the expired key ends its stream', () => ended.length === 1);
    expect(ended).toEqual(['expired']);
    await watch('first', first);
    const second = await rotate(other, id, 60_000);
    await watch('second', second);
    await watch('first again', first);
    const stopped = await watch('stopped', first);
    stopped();
    const third = await rotate(other, id, 60_000);
    await until('the streams of the first secret end', () => ended.length === 3);
    expect(ended.toSorted()).toEqual(['expired', 'first', 'first again']);
    await watch('third', third);
    await node.keys.revoke({ id });
    expect(ended.slice(3).toSorted()).toEqual(['second', 'third']);
  });

  it('end with the overlap of their secret', async () => {
    const node = await start();
    const { id, text: first } = await create(node);
    const ended: string[] = [];
    node.keys.onRevoked(await node.keys.verify(first, ''), () => ended.push('first'));
    const second = await rotate(node, id, 1500);
    node.keys.onRevoked(await node.keys.verify(second, ''), () => ended.push('second'));
    expect([await refusal(node.keys.verify(first, '')), ended]).toEqual(['accepted', []]);
    await until('the stream of the first secret ends', () => ended.length > 0);
    expect(ended).toEqual(['first']);
    expect(await refusal(node.keys.verify(first, ''))).toBe('unauthorized');
  });

  it('all end, also after a callback that throws', async () => {
    const node = await start();
    const { id, text } = await create(node);
    const key = await node.keys.verify(text, '');
    let ended = 0;
    node.keys.onRevoked(key, () => {
      throw new Error(`no end for ${text}`);
    });
    node.keys.onRevoked(key, () => void ended++);
    await node.keys.revoke({ id });
    expect(ended).toBe(1);
    expect(lines.filter((line) => line.includes('Could not end the use of an API key'))).toHaveLength(1);
  });
});

const usedAt = async (id: string): Promise<number | null | undefined> => {
  const [row] = await database.sql<{ used_at: number | null }[]>`select used_at from api_keys where id = ${id}`;
  return row?.used_at;
};

describe('the last use', () => {
  it('is written by one statement a minute', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const node = await start();
    await database.sql`create table written (n int generated always as identity, at timestamptz default clock_timestamp())`;
    await database.sql.unsafe(`
      create function note_statement() returns trigger language plpgsql as $$
      begin insert into written default values; return null; end $$;
      create trigger note_statement after update on api_keys for each statement execute function note_statement()`);
    const statements = async (): Promise<number> => (await database.sql`select from written`).count;
    const [one, two] = [await create(node), await create(node)];
    for (let n = 0; n < 50; n++) for (const { text } of [one, two]) await node.keys.verify(text, '');
    vi.advanceTimersByTime(59_000);
    expect([await statements(), await usedAt(one.id)]).toEqual([0, null]);
    vi.advanceTimersByTime(1000);
    await until('it is written', async () => (await usedAt(one.id)) !== null && (await usedAt(two.id)) !== null);
    expect(await statements()).toBe(1);
    // nothing to write in this minute
    vi.advanceTimersByTime(60_000);
    const before = (await usedAt(one.id)) ?? 0;
    await node.keys.verify(one.text, '');
    vi.advanceTimersByTime(60_000);
    await until('it is written again', async () => ((await usedAt(one.id)) ?? 0) > before);
    expect(await statements()).toBe(2);
    await database.sql.unsafe(
      'drop trigger note_statement on api_keys; drop function note_statement; drop table written',
    );
  });

  it('is written when the node stops, and an older one does not replace it', async () => {
    const [one, two] = [await start(), await start({ aheadMs: dayMs })];
    const { id, text } = await create(one);
    await one.keys.verify(text, '');
    await two.keys.verify(text, '');
    await two.stop();
    const later = (await usedAt(id)) ?? 0;
    expect(later).toBeGreaterThan(Date.now() + dayMs / 2);
    await one.stop();
    nodes.splice(0);
    expect(await usedAt(id)).toBe(later);
  });
});

describe('the log', () => {
  it('has lines of the changes of keys, and no secret of any test of this file', async () => {
    const node = await start();
    const { id, text } = await create(node);
    await rotate(node, id);
    await node.keys.revoke({ id });
    for (const line of ['created', 'got another secret', 'was revoked'])
      expect(lines.some((one) => one.includes(line) && one.includes(id))).toBe(true);
    searched.error({ err: new Error(`bad header: Bearer ${text}`), path: `/x?key=${text}` }, `The key ${text} is bad.`);
    searched.info(
      { authorization: 'Bearer abc', headers: { authorization: 'x' }, req: { headers: { authorization: 'x' } } },
      'request',
    );
    searched.info({ secret: 'abc', answer: { secret: 'abc' } }, 'answer');
    const log = lines.join('');
    expect(log).toContain(`pk_${id}_[hidden]`);
    expect(log).not.toMatch(/Bearer abc|"abc"|"authorization":"x"/);
    expect(shown.length).toBeGreaterThan(100);
    expect(shown.filter((one) => log.includes(secretOf(one)))).toEqual([]);
  });
});
