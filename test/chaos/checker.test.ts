/** The checker of the cluster has to see what it is there for. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createWriter, makeRoom, send } from '../support/messaging.ts';
import { Checker, type Audience } from './checker.ts';
import { Recorder, type FindingKind } from './recorder.ts';

let database: TestDatabase;
let recorder: Recorder;
let room: string;
let rooms = 0;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** Three messages that were acknowledged as what they are, in a room of their own. */
beforeEach(async () => {
  await database.sql`delete from rooms`;
  room = await makeRoom(database.sql, `room-${rooms++}`, 'ann');
  recorder = new Recorder();
  const { writer } = createWriter(database.sql);
  for (const k of ['a', 'b', 'c']) {
    const sent = recorder.wrote(k, room);
    const outcome = await writer.send(send(room, 'ann', { k, t: 1 }));
    recorder.ack(sent, outcome.seq);
    recorder.delivered('ben', { room, seq: outcome.seq, body: { k, t: 1 } });
  }
});

const nobody: Audience = { devices: [], readers: [] };

async function found(audience = nobody): Promise<FindingKind[]> {
  await new Checker(database.sql, recorder, audience).check();
  return [...new Set(recorder.findings.map(({ kind }) => kind))];
}

/** A reader who ended with these. */
function reading(...seqs: number[]): Audience {
  const messages = seqs.map((seq) => ({ seq, id: '', body: { k: 'abc'[seq - 1], t: 1 } }));
  return { devices: [], readers: [{ name: 'reader', room, reader: { messages } as never }] };
}

describe('the checker', () => {
  it('finds nothing where all is well', async () => {
    expect(await found(reading(1, 2, 3))).toEqual([]);
  });

  it('finds what was acknowledged and is not there', async () => {
    await database.sql`delete from messages where room_id = ${room} and seq = 2`;
    expect(await found()).toEqual(['lost']);
  });

  it('finds what was acknowledged as something else', async () => {
    const b = recorder.sent.get('b');
    if (b !== undefined) b.seq = 1;
    expect(await found()).toEqual(['lost']);
  });

  it('finds a gap in rev', async () => {
    await database.sql`update messages set rev = 9 where room_id = ${room} and seq = 3`;
    expect(await found()).toEqual(['lost']);
  });

  it('finds what is stored twice', async () => {
    await database.sql`update messages set body = ${'{"k":"a","t":1}'}::text::jsonb where room_id = ${room} and seq = 2`;
    expect(await found()).toContain('doubled');
  });

  it('finds what has no answer', async () => {
    recorder.wrote('d', room);
    expect(await found()).toEqual(['lost']);
  });

  it('finds a message that one client received in another place than others, or than its own', async () => {
    recorder.delivered('eve', { room, seq: 2, body: { k: 'a', t: 1 } });
    expect(recorder.findings).toMatchObject([{ kind: 'reordered' }]);
    recorder.received.get(room)?.set(3, 'a');
    expect(await found()).toEqual(['reordered']);
  });

  it('finds what a removed user received, pulled or signalled after the acknowledgement, and nothing before it', async () => {
    const absence = recorder.removed('eve', room, 100);
    recorder.accesses.push({ user: 'eve', room, what: 'received', key: 'a', at: 99 });
    recorder.accesses.push({ user: 'ben', room, what: 'received', key: 'a', at: 150 });
    recorder.accesses.push({ user: 'eve', room: 'another', what: 'pulled', at: 150 });
    absence.until = 200;
    recorder.accesses.push({ user: 'eve', room, what: 'signalled', at: 201 });
    const whats = ['received', 'pulled', 'signalled'] as const;
    for (const what of whats) recorder.accesses.push({ user: 'eve', room, what, at: 150 });
    expect(await found()).toEqual(['leaked']);
    expect(recorder.findings.map(({ text }) => text.split(' ')[1])).toEqual(whats);
  });

  it('finds what a reader missed', async () => {
    expect(await found(reading(1, 3))).toEqual(['lost']);
  });

  it('finds what a reader had twice', async () => {
    expect(await found(reading(1, 2, 2, 3))).toEqual(['doubled']);
  });

  it('finds what a reader has not had yet', async () => {
    expect(await found(reading(1, 2))).toEqual(['lost']);
  });
});
