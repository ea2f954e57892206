/**
 * Limits of one user. Their defaults follow from the limits of one connection: an operator that raises a limit of
 * connections raises the limit of their users too.
 */
import type { UserShareLimits } from '../commands/user-shares.ts';

interface Given extends Partial<Record<keyof UserShareLimits, number | undefined>> {
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  readonly signalsPerSecond: number;
  readonly signalBurst: number;
  readonly commandsPerSecondPerAddress: number;
  readonly joinsPerMinutePerUser?: number | undefined;
  readonly invitationsPerMinutePerUser?: number | undefined;
  readonly tiers?: readonly string[] | undefined;
}

export interface UserLimits extends UserShareLimits {
  readonly joinsPerMinutePerUser: number;
  readonly invitationsPerMinutePerUser: number;
  readonly tiers: readonly string[];
}

/** Connections that one user can use at their full rate. */
const connections = 2;
const burstFactor = 5;
const bytesInPerCommand = 8 * 1024;
const bytesOutPerCommand = 32 * 1024;

export function userLimits(config: Given): UserLimits {
  const commands = config.commandsPerSecondPerUser ?? connections * config.commandsPerSecond;
  return {
    commandsPerSecondPerUser: commands,
    commandBurstPerUser: config.commandBurstPerUser ?? burstFactor * config.commandBurst,
    signalsPerSecondPerUser: config.signalsPerSecondPerUser ?? connections * config.signalsPerSecond,
    signalBurstPerUser: config.signalBurstPerUser ?? connections * config.signalBurst,
    bytesInPerSecondPerUser: config.bytesInPerSecondPerUser ?? commands * bytesInPerCommand,
    bytesOutPerSecondPerUser: config.bytesOutPerSecondPerUser ?? commands * bytesOutPerCommand,
    commandsPerSecondPerAddress: config.commandsPerSecondPerAddress,
    joinsPerMinutePerUser: config.joinsPerMinutePerUser ?? commands,
    invitationsPerMinutePerUser: config.invitationsPerMinutePerUser ?? commands,
    tiers: config.tiers ?? [`standard=${60 * commands}`],
  };
}
