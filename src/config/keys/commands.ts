/** Rates of commands, of one connection, of one user and of one address, and the limits of load shedding. */
import { bytes, number, tiers } from '../values.ts';
import { key, optional } from './key.ts';

export const commandKeys = {
  commandsPerSecond: key(
    'PARLEY_COMMANDS_PER_SECOND',
    'Sustained rate of commands of one connection. Most commands count as 1 or 2, `room:create` and `unread` as 5, `search` as 10. The column "Counts as" of docs/protocol.md has every weight.',
    number(1, 1_000_000),
    '50',
  ),
  commandBurst: key(
    'PARLEY_COMMAND_BURST',
    'Largest burst of commands of one connection, with the same weights.',
    number(1, 1_000_000),
    '200',
  ),
  maxRefusedCommands: key(
    'PARLEY_MAX_REFUSED_COMMANDS',
    'Successive commands refused with `rate_limited` after which a connection is closed. Unexpected packets above the rate count as such commands.',
    number(1, 1_000_000),
    '1000',
  ),
  commandsPerSecondPerUser: optional(
    'PARLEY_COMMANDS_PER_SECOND_PER_USER',
    'Sustained rate of commands of one user over all connections to this process, with the same weights. Default: twice PARLEY_COMMANDS_PER_SECOND.',
    number(1, 10_000_000),
  ),
  commandBurstPerUser: optional(
    'PARLEY_COMMAND_BURST_PER_USER',
    'Largest burst of commands of one user. Default: five times PARLEY_COMMAND_BURST.',
    number(1, 10_000_000),
  ),
  commandsPerSecondPerAddress: key(
    'PARLEY_COMMANDS_PER_SECOND_PER_ADDRESS',
    'Sustained rate of refused CONNECTs and unexpected packets of connections without a user, by IP address (IPv6: one /64). A burst may have ten times as many. A connection above the rate is closed.',
    number(1, 1_000_000),
    '100',
  ),
  bytesInPerSecondPerUser: optional(
    'PARLEY_BYTES_IN_PER_SECOND_PER_USER',
    'Bytes a second that one user may send to this process. A burst may have twice as many. Default: 8k for each command of the user per second.',
    bytes(1024, 2 ** 40),
  ),
  bytesOutPerSecondPerUser: optional(
    'PARLEY_BYTES_OUT_PER_SECOND_PER_USER',
    'Bytes a second of large answers (`sync`, `history`, lists) to one user from this process. A burst may have ten times as many. Default: 32k for each command of the user per second.',
    bytes(1024, 2 ** 40),
  ),
  joinsPerMinutePerUser: optional(
    'PARLEY_JOINS_PER_MINUTE_PER_USER',
    'Rooms that one user may create, join and leave per minute, over all nodes. Default: the number of commands per second of the user.',
    number(1, 10_000_000),
  ),
  invitationsPerMinutePerUser: optional(
    'PARLEY_INVITATIONS_PER_MINUTE_PER_USER',
    'Users that one user may add or invite to rooms per minute, over all nodes. Default: the number of commands per second of the user.',
    number(1, 10_000_000),
  ),
  tiers: optional(
    'PARLEY_TIERS',
    "Messages of one user per minute, over all devices and nodes, by the token's `tier`. Example: `standard=600,premium=6000`. " +
      'A token without a known tier counts as `standard`. Default: only `standard`, with 60 for each command of the user per second. `off`: unlimited.',
    tiers(),
  ),
  connectsPerMinutePerUser: key(
    'PARLEY_CONNECTS_PER_MINUTE_PER_USER',
    'CONNECTs of one user per minute, over all nodes.',
    number(1, 1_000_000),
    '600',
  ),
  maxEventLoopDelayMs: key(
    'PARLEY_MAX_EVENT_LOOP_DELAY_MS',
    'Delay of the event loop above which the node refuses work with `overloaded`.',
    number(5, 60_000),
    '500',
  ),
  maxMemoryBytes: optional(
    'PARLEY_MAX_MEMORY_BYTES',
    'Resident memory above which the node refuses work. Default: 80 % of the memory that the process may use.',
    bytes(64 * 1024 ** 2, 2 ** 50),
  ),
  maxPendingCommands: key(
    'PARLEY_MAX_PENDING_COMMANDS',
    'Unanswered commands of one connection.',
    number(1, 1_000_000),
    '1000',
  ),
} as const;
