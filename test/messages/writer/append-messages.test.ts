/** `append_messages` against a model of a dozen lines, with batches that fast-check makes up. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { assertDense } from '../../support/messaging.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const rooms = ['open', 'closed', 'third', 'missing'];
const users = ['owner', 'member', 'guest', 'nobody'];
const ids = Array.from({ length: 6 }, (_, n) => `00000000-0000-4000-8000-00000000000${n}`);

interface Input {
  r: string;
  i: string;
  u: string;
  b: unknown;
  p?: number | undefined;
  l?: string | undefined;
}

const input: fc.Arbitrary<Input> = fc.record(
  {
    r: fc.constantFrom(...rooms),
    i: fc.constantFrom(...ids),
    // mostly users who may send
    u: fc.constantFrom('owner', 'owner', 'member', 'member', ...users),
    b: fc.oneof(fc.constant(''), fc.string(), fc.integer(), fc.constant([null, { a: [] }])),
    p: fc.integer({ min: 1, max: 8 }),
    l: fc.constantFrom('critical', 'low'),
  },
  { requiredKeys: ['r', 'i', 'u', 'b'] },
);

/** The writer keeps the second of two copies for the next call. */
const distinct = fc.uniqueArray(input, { minLength: 1, maxLength: 12, selector: ({ r, i }) => `${r} ${i}` });

interface Outcome {
  n: number;
  outcome: string;
  seq: number | null;
}

interface Model {
  readonly heads: Map<string, number>;
  readonly stored: Map<string, { seq: number; sender: string; body: unknown }>;
}

/** The expected outcome of each input of a batch. A batch is judged as a whole before any of it is stored. */
function append(model: Model, inputs: readonly Input[]): Outcome[] {
  const before = new Map(model.heads);
  return inputs.map(({ r, i, u, b, p }, index) => {
    const n = index + 1;
    const refuse = (outcome: string): Outcome => ({ n, outcome, seq: null });
    if (r === 'missing') return refuse('not_found');
    if (u === 'nobody') return refuse(r === 'open' ? 'not_member' : 'not_found');
    if (u === 'guest') return refuse('forbidden');
    const head = before.get(r) ?? 0;
    const known = model.stored.get(`${r} ${i}`);
    if (known !== undefined) return { n, outcome: known.sender === u ? 'duplicate' : 'conflict', seq: known.seq };
    if (p !== undefined && p > head) return refuse('no_reply_target');
    const seq = (model.heads.get(r) ?? 0) + 1;
    model.heads.set(r, seq);
    model.stored.set(`${r} ${i}`, { seq, sender: u, body: b });
    return { n, outcome: 'fresh', seq };
  });
}

async function reset(): Promise<void> {
  await database.sql`truncate users, rooms, members, messages, outbox`;
  await database.sql`insert into users (id) select unnest(${users}::text[])`;
  await database.sql`
    insert into rooms (id, kind, created_by)
    values ('open', 'channel', 'owner'), ('closed', 'group', 'owner'), ('third', 'group', 'owner')`;
  await database.sql`
    insert into members (room_id, user_id, role)
    select r.id, u, u from rooms r, unnest(array['owner', 'member', 'guest']) u`;
}

it('numbers, deduplicates and refuses as the model does, whatever the batches', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(distinct, { maxLength: 8 }), async (batches) => {
      await reset();
      const model: Model = { heads: new Map(), stored: new Map() };
      let outboxCleanup: number[] = [];
      for (const batch of batches) {
        const expected = append(model, batch);
        const inRooms = [...new Set(batch.map(({ r }) => r))];
        const rows = await database.sql<(Outcome & { outbox_id: number | null })[]>`
          select n, outcome, seq, outbox_id
          from append_messages(${inRooms}::text[], ${JSON.stringify(batch.map(({ r, i, u, b, p, l }) => [r, i, u, b, p, l]))}::text::jsonb, ${outboxCleanup}::bigint[])`;
        const received = rows.map(({ n, outcome, seq }) => ({
          n,
          outcome,
          seq: ['fresh', 'duplicate', 'conflict'].includes(outcome) ? seq : null,
        }));
        expect(received).toEqual(expected);
        const fresh = expected.filter(({ outcome }) => outcome === 'fresh').length;
        const outbox = await database.sql<{ id: number; received: number }[]>`
          select id, (select sum((e->>'to')::int - (e->>'from')::int + 1) from jsonb_array_elements(entries) e)::int as received
          from outbox where not fanned_out`;
        // the batch before is marked, this one has noted what it stored
        expect(outbox.map(({ received: count }) => count)).toEqual(fresh === 0 ? [] : [fresh]);
        expect(rows[0]?.outbox_id ?? null).toBe(outbox[0]?.id ?? null);
        outboxCleanup = outbox.map(({ id }) => id);
      }
      await assertDense(database.sql);
      const rows = await database.sql<{ key: string; seq: number; sender: string; body: string }[]>`
        select room_id || ' ' || id as key, seq, sender_id as sender, body from messages`;
      const found = new Map(
        rows.map(({ key, seq, sender, body }) => [key, { seq, sender, body: JSON.parse(body) as unknown }]),
      );
      expect(found).toEqual(model.stored);
    }),
    { numRuns: 60 },
  );
}, 60_000);
