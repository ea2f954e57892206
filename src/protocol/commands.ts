/**
 * Every command a client may send: the only source of its types, its validation, its limits and its page.
 * `docs/protocol.md` has the commands in this order. A command is a Socket.IO event with one object and an ack; the ack is
 * `{ok:true, ...output}` or `{ok:false, error}`.
 *
 * A new command is declared in the file of its family, and handled in the file of that family in `src/commands/handlers/`.
 */
import type { z } from 'zod';
import type { Declarations } from './command-schema.ts';
import { deviceCommands } from './commands/devices.ts';
import { invitationCommands } from './commands/invitations.ts';
import { messageCommands } from './commands/messages.ts';
import { presenceCommands } from './commands/presence.ts';
import { notificationCommands } from './commands/notifications.ts';
import { pullCommands } from './commands/reads.ts';
import { receiptCommands } from './commands/receipts.ts';
import { roomCommands } from './commands/rooms.ts';
import { searchCommands } from './commands/search.ts';
import { sessionCommands } from './commands/sessions.ts';
import { signalCommands } from './commands/signals.ts';
import { threadCommands } from './commands/threads.ts';
import { userCommands } from './commands/users.ts';

export const commands = {
  ...messageCommands,
  ...threadCommands,
  ...pullCommands,
  ...receiptCommands,
  ...searchCommands,
  ...signalCommands,
  ...roomCommands,
  ...invitationCommands,
  ...userCommands,
  ...presenceCommands,
  ...notificationCommands,
  ...deviceCommands,
  ...sessionCommands,
} as const satisfies Declarations;

export type Commands = typeof commands;
export type CommandName = keyof Commands;
/** The input as a client writes it: defaults may be left out. */
export type CommandInput<C extends CommandName> = z.input<Commands[C]['input']>;
/** The input as a handler gets it: defaults are filled in. */
export type ParsedInput<C extends CommandName> = z.output<Commands[C]['input']>;
export type CommandOutput<C extends CommandName> = z.output<Commands[C]['output']>;

/** The rates must let through the heaviest command. */
export const greatestWeight = Math.max(...Object.values(commands).map(({ weight }) => weight));
