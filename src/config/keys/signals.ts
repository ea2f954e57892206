/** Rates of signals. */
import { number } from '../values.ts';
import { key, optional } from './key.ts';

export const signalKeys = {
  signalsPerSecond: key(
    'PARLEY_SIGNALS_PER_SECOND',
    'Sustained rate of signals of one connection.',
    number(1, 1_000_000),
    '20',
  ),
  signalBurst: key('PARLEY_SIGNAL_BURST', 'Largest burst of signals of one connection.', number(1, 1_000_000), '40'),
  signalsPerSecondPerUser: optional(
    'PARLEY_SIGNALS_PER_SECOND_PER_USER',
    'Sustained rate of signals of one user over all connections to this process. Default: twice PARLEY_SIGNALS_PER_SECOND.',
    number(1, 10_000_000),
  ),
  signalBurstPerUser: optional(
    'PARLEY_SIGNAL_BURST_PER_USER',
    'Largest burst of signals of one user. Default: twice PARLEY_SIGNAL_BURST.',
    number(1, 10_000_000),
  ),
} as const;
