import { beforeAll, describe, expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { total } from '../support/metrics.ts';
import { text } from '../support/stock-client.ts';

const { people, connect } = await stage({ people: ['ann', 'ben', 'cid'] });
const { ann, ben, cid } = people;
const phone = await connect('ann');

beforeAll(async () => {
  await ann.ok('room:create', { kind: 'channel', name: 'S', id: 's' });
  await ann.ok('room:invite', { room: 's', user: 'ben', role: 'guest' });
});

describe('a signal', () => {
  it('reaches every other connection of the room, the own devices too, but not the sender', async () => {
    await ann.ok('signal', { room: 's', name: 'typing', data: { on: true } });
    const signal = { room: 's', from: 'ann', fromName: 'ANN', name: 'typing', expires: 6000, data: { on: true } };
    expect(await ben.event('signal')).toEqual(signal);
    expect(await phone.event('signal')).toEqual(signal);
    await ann.ok('message:send', text('s', 'fence'));
    await ann.event('message');
    expect(ann.received('signal')).toEqual([]);
  });

  it('may come without data', async () => {
    await ann.ok('signal', { room: 's', name: 'wave "quoted"' });
    expect(await ben.event('signal', (s) => s.name.startsWith('wave'))).toEqual({
      room: 's',
      from: 'ann',
      fromName: 'ANN',
      expires: 6000,
      name: 'wave "quoted"',
    });
  });

  it('is refused to guests and from outside, before and after membership', async () => {
    expect(await ben.error('signal', { room: 's', name: 'x' })).toMatchObject({ code: 'forbidden' });
    expect(await cid.error('signal', { room: 's', name: 'x' })).toMatchObject({ code: 'not_member' });
    expect(await cid.error('signal', { room: 'nowhere', name: 'x' })).toMatchObject({ code: 'not_member' });
    await cid.ok('room:join', { room: 's' });
    await cid.ok('signal', { room: 's', name: 'here' });
    await cid.ok('room:leave', { room: 's' });
    expect(await cid.error('signal', { room: 's', name: 'gone' })).toMatchObject({ code: 'not_member' });
  });

  it('is allowed as soon as a guest becomes a member', async () => {
    await ann.ok('room:invite', { room: 's', user: 'ben', role: 'member' });
    await ben.event('member', (m) => m.user === 'ben' && m.role === 'member');
    await ben.ok('signal', { room: 's', name: 'thanks' });
    expect(await ann.event('signal', (s) => s.name === 'thanks')).toMatchObject({ from: 'ben' });
  });

  it('is not stored', async () => {
    const { messages } = await ann.ok('history', { room: 's' });
    expect(messages.map(({ body }) => body)).toEqual(['fence']);
  });
});

describe('the rate of signals of a connection', () => {
  it('ends with its rate, whatever its rate of commands, and counts for itself', async () => {
    const strict = await stage({
      people: ['one'],
      room: 'r',
      config: { PARLEY_SIGNAL_BURST: '3', PARLEY_SIGNALS_PER_SECOND: '1' },
    });
    const { one } = strict.people;
    const two = await strict.connect('one');
    for (let n = 1; n <= 3; n++) await one.ok('signal', { room: 'r', name: `n${n}` });
    const error = await one.error('signal', { room: 'r', name: 'n4' });
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(error.retryAfter).toBeGreaterThan(0);
    expect(error.retryAfter).toBeLessThanOrEqual(1000);
    expect(total(await strict.server.metrics(), 'parley_signals_refused_total')).toBe(1);
    await one.ok('message:send', text('r', 'commands go on'));
    await two.ok('signal', { room: 'r', name: 'another connection' });
  });

  it('says how long it counts, within bounds', async () => {
    await ann.ok('signal', { room: 's', name: 'short', expires: 100 });
    expect(await phone.event('signal', (s) => s.name === 'short')).toMatchObject({ expires: 100 });
    for (const expires of [99, 60_001]) {
      expect(await ann.error('signal', { room: 's', name: 'x', expires })).toMatchObject({ code: 'invalid' });
    }
  });
});
