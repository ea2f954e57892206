import { expect, it } from 'vitest';
import { MemoryPresence } from '../../src/presence/memory.ts';
import { presenceContract } from '../contract/presence.contract.ts';

presenceContract('memory', (listener) => {
  const presence = new MemoryPresence(listener);
  return Promise.resolve({ presence, close: () => presence.close() });
});

it('remembers the users who left last, up to its limit', async () => {
  const presence = new MemoryPresence({ changed: () => {}, reset: () => {} }, { maxRemembered: 3 });
  for (const user of ['a', 'b', 'c', 'd']) {
    presence.arrived(user);
    presence.left(user);
  }
  const states = await presence.read(['a', 'b', 'c', 'd']);
  expect(states.map(({ lastSeen }) => lastSeen !== undefined)).toEqual([false, true, true, true]);
});
