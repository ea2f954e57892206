import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { userLimits } from '../../src/config/user-limits.ts';

it('limits of a user follow from those of a connection unless they are set', () => {
  const all = userLimits(loadConfig({ PARLEY_COMMANDS_PER_SECOND: '500', PARLEY_SIGNAL_BURST: '7' }));
  expect(all).toMatchObject({
    commandsPerSecondPerUser: 1000,
    commandBurstPerUser: 1000,
    signalBurstPerUser: 14,
    bytesInPerSecondPerUser: 1000 * 8192,
    joinsPerMinutePerUser: 1000,
    tiers: ['standard=60000'],
  });
  expect(userLimits(loadConfig({ PARLEY_COMMANDS_PER_SECOND_PER_USER: '5' })).invitationsPerMinutePerUser).toBe(5);
  expect(userLimits(loadConfig({})).tiers).toEqual(['standard=6000']);
  expect(userLimits(loadConfig({ PARLEY_TIERS: 'off' })).tiers).toEqual([]);
  expect(() => loadConfig({ PARLEY_COMMAND_BURST_PER_USER: '3' })).toThrow('expected at least 10');
});
