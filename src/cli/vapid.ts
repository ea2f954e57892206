/** `parley vapid`: makes the keys with which a server identifies itself to push services. */
import { newVapidKeys } from '../notifications/push/vapid.ts';
import { parseOptions } from './arguments.ts';
import type { CommandContext } from './context.ts';

export const vapidHelp = `  vapid                        print keys for web pushes: PARLEY_VAPID_PRIVATE_KEY, and the public key that browsers get`;

/** @throws {StartupError} for arguments */
export function vapidCommand(args: string[], context: CommandContext): Promise<void> {
  parseOptions(args, {});
  const { privateKey, publicKey } = newVapidKeys();
  context.print(`PARLEY_VAPID_PRIVATE_KEY=${privateKey}`);
  context.print(`# public key: ${publicKey}`);
  return Promise.resolve();
}
