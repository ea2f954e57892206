/** A user who comes into a room and leaves it again and again is not an event each time to everybody else. */
import { expect, it } from 'vitest';
import type { EventData } from '../../src/protocol/events.ts';
import { Flaps, flapsAtOnce } from '../../src/rooms/flaps.ts';
import { stage as openStage } from '../stage.ts';
import { until } from '../support/until.ts';

type Member = EventData<'member'>;
const change = (what: Member['change'], more: Partial<Member> = {}): Member => ({
  room: 'hall',
  user: 'eve',
  name: null,
  role: what === 'left' ? null : 'member',
  change: what,
  by: 'eve',
  ...more,
});

it('the first changes are told at once, and of those that follow the last one, at the end of the window', async () => {
  const told: Member['change'][] = [];
  const flaps = new Flaps({ publish: (data) => told.push(data.change), windowMs: 150 });
  const at = [];
  for (let n = 0; n < flapsAtOnce + 1; n++) at.push(flaps.note(change(n % 2 === 0 ? 'joined' : 'left')));
  expect(at).toEqual([...Array.from({ length: flapsAtOnce }, () => true), false]);
  expect(flaps.note(change('joined', { user: 'ann', by: 'ann' }))).toBe(true);
  await until('the window ends', () => told.length > 0);
  expect(told).toEqual(['joined']);
  // a new window
  expect(flaps.note(change('left'))).toBe(true);
  flaps.flush();
});

it('what the room was told before is not told again, and a change by others comes behind what it follows', () => {
  const told: Member['change'][] = [];
  const flaps = new Flaps({ publish: (data) => told.push(data.change) });
  const flap = (times: number): void => {
    for (let n = 0; n < times; n++) flaps.note(change(n % 2 === 0 ? 'joined' : 'left'));
  };
  flap(flapsAtOnce + 2);
  flaps.flush();
  expect(told).toEqual([]);
  flap(flapsAtOnce + 1);
  expect(flaps.note(change('role', { by: 'owner' }))).toBe(true);
  expect(told).toEqual(['joined']);
});

it('a flapping member costs the room few events, and their own connections hear of each change', async () => {
  const stage = await openStage({ people: ['owner', 'ann', 'stranger'] });
  const room = await stage.room('channel');
  const { ann, stranger } = stage.people;
  for (let n = 0; n < 15; n++) {
    await stranger.ok('room:join', { room });
    await stranger.ok('room:leave', { room });
  }
  await stranger.ok('room:join', { room });
  const heard = () => ann.heard('member').filter(({ user }) => user === 'stranger');
  await until('the end is told', () => heard().length > flapsAtOnce, 20_000);
  expect(heard()).toHaveLength(flapsAtOnce + 1);
  expect(heard().at(-1)?.change).toBe('joined');
  expect(stranger.heard('member').filter(({ change: what }) => what === 'left')).toHaveLength(15);
  const metrics = await stage.server.metrics();
  expect(metrics.get('parley_member_events_coalesced_total')).toBe(31 - flapsAtOnce);
}, 60_000);

it('what is held back is not told where the user has left through another node', async () => {
  const stage = await openStage({ people: ['owner', 'ann', 'stranger'] });
  const room = await stage.room('channel');
  const { ann, stranger } = stage.people;
  for (let n = 0; n < flapsAtOnce; n++) {
    await stranger.ok(n % 2 === 0 ? 'room:join' : 'room:leave', { room });
  }
  await stranger.ok('room:join', { room });
  // as another node does it, which has told the room by itself
  await stage.sql`select remove_member(${room}, 'stranger')`;
  const heard = () => ann.heard('member').filter(({ user }) => user === 'stranger');
  await until(
    'it is held back',
    async () => (await stage.server.metrics()).get('parley_member_events_coalesced_total') === 1,
  );
  // another user's window begins later, so it ends later
  const fence = await stage.connect('fence');
  for (let n = 0; n <= flapsAtOnce; n++) await fence.ok(n % 2 === 0 ? 'room:join' : 'room:leave', { room });
  const ofFence = () => ann.heard('member').filter(({ user }) => user === 'fence');
  await until('the window of the fence ends', () => ofFence().length > flapsAtOnce, 30_000);
  expect(heard()).toHaveLength(flapsAtOnce);
}, 60_000);
