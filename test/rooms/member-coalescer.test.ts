/** Not every join and leave of a user who joins and leaves again and again is an event to the other members. */
import { expect, it } from 'vitest';
import type { EventData } from '../../src/protocol/events.ts';
import { changesAtOnce, MemberCoalescer } from '../../src/rooms/member-coalescer.ts';
import { stage as openStage } from '../stage.ts';
import { until } from '../support/until.ts';

type Member = EventData<'member'>;
// two, since the tests wait for windows of ten seconds at the same time, and each counts the held changes of its node
const repeated = await openStage({ people: ['owner', 'ann', 'stranger'] });
const elsewhere = await openStage({ people: ['owner', 'ann', 'stranger'] });

const change = (what: Member['change'], more: Partial<Member> = {}): Member => ({
  room: 'hall',
  user: 'eve',
  name: null,
  role: what === 'left' ? null : 'member',
  change: what,
  by: 'eve',
  ...more,
});

it('the first changes are published at once, and the last of the later ones at the end of the window', async () => {
  const published: Member['change'][] = [];
  const coalescer = new MemberCoalescer({ publish: (data) => published.push(data.change), windowMs: 150 });
  const at = [];
  for (let n = 0; n < changesAtOnce + 1; n++) at.push(coalescer.admit(change(n % 2 === 0 ? 'joined' : 'left')));
  expect(at).toEqual([...Array.from({ length: changesAtOnce }, () => true), false]);
  expect(coalescer.admit(change('joined', { user: 'ann', by: 'ann' }))).toBe(true);
  await until('the window ends', () => published.length > 0);
  expect(published).toEqual(['joined']);
  // a new window
  expect(coalescer.admit(change('left'))).toBe(true);
  coalescer.flush();
});

it('a state that was published before is not published again, and a change by another user follows the held changes', () => {
  const published: Member['change'][] = [];
  const coalescer = new MemberCoalescer({ publish: (data) => published.push(data.change) });
  const repeat = (times: number): void => {
    for (let n = 0; n < times; n++) coalescer.admit(change(n % 2 === 0 ? 'joined' : 'left'));
  };
  repeat(changesAtOnce + 2);
  coalescer.flush();
  expect(published).toEqual([]);
  repeat(changesAtOnce + 1);
  expect(coalescer.admit(change('role', { by: 'owner' }))).toBe(true);
  expect(published).toEqual(['joined']);
});

it.concurrent(
  'repeated joins cost the room few events, and the own connections of the user get each change',
  async () => {
    const { room: create, people, server } = repeated;
    const room = await create('channel');
    const { ann, stranger } = people;
    for (let n = 0; n < 15; n++) {
      await stranger.ok('room:join', { room });
      await stranger.ok('room:leave', { room });
    }
    await stranger.ok('room:join', { room });
    const received = () => ann.received('member').filter(({ user }) => user === 'stranger');
    await until('the last change is published', () => received().length > changesAtOnce, 20_000);
    expect(received()).toHaveLength(changesAtOnce + 1);
    expect(received().at(-1)?.change).toBe('joined');
    expect(stranger.received('member').filter(({ change: what }) => what === 'left')).toHaveLength(15);
    const metrics = await server.metrics();
    expect(metrics.get('parley_member_events_coalesced_total')).toBe(31 - changesAtOnce);
  },
  60_000,
);

it.concurrent(
  'a held change is not published when the user has left through another node',
  async () => {
    const { room: create, people, server, sql, connect } = elsewhere;
    const room = await create('channel');
    const { ann, stranger } = people;
    for (let n = 0; n < changesAtOnce; n++) {
      await stranger.ok(n % 2 === 0 ? 'room:join' : 'room:leave', { room });
    }
    await stranger.ok('room:join', { room });
    // as another node does, which has published the change itself
    await sql`select remove_member(${room}, 'stranger')`;
    const received = () => ann.received('member').filter(({ user }) => user === 'stranger');
    await until(
      'the change is held back',
      async () => (await server.metrics()).get('parley_member_events_coalesced_total') === 1,
    );
    // another user's window begins later, so it ends later
    const fence = await connect('fence');
    for (let n = 0; n <= changesAtOnce; n++) await fence.ok(n % 2 === 0 ? 'room:join' : 'room:leave', { room });
    const ofFence = () => ann.received('member').filter(({ user }) => user === 'fence');
    await until('the window of the fence ends', () => ofFence().length > changesAtOnce, 30_000);
    expect(received()).toHaveLength(changesAtOnce);
  },
  60_000,
);
