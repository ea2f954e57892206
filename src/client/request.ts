import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';

export type RequestFunction = <C extends CommandName>(name: C, input: CommandInput<C>) => Promise<CommandOutput<C>>;
