/** Runs a command of the table: in the process of the running server, if one has the data, else in this process. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { DataFolderInUse } from '../storage/data-folder.ts';
import { printable } from '../telemetry/printable.ts';
import { runInServer } from './beside/client.ts';
import { commandSocket } from './beside/protocol.ts';
import type { CliCommand } from './commands.ts';
import { ownContext, ownTerminal } from './own-process.ts';

/** A server that starts has the data folder before its socket, and one that stops has the folder after its socket. */
const patienceMs = 30_000;
const pauseMs = 100;

/** @returns the exit code. @throws {StartupError} */
export async function runCommand(name: string, command: CliCommand, args: string[], config: Config): Promise<number> {
  const file = await command.input?.(args);
  const input = file ?? (command.reads === true ? process.stdin : undefined);
  const outputs = { out: process.stdout, note: (line: string): void => console.error(printable(line)) };
  let waits = false;
  for (const from = performance.now(); ;) {
    if (mayRunInServer(command, config)) {
      const socket = commandSocket(config.dataDir, config.databaseUrl);
      const code = await runInServer(socket, { command: name, arguments: args }, input, outputs);
      if (code !== undefined) return code;
    }
    try {
      return (await command.run(args, ownContext(config, ownTerminal(input)))) === false ? 1 : 0;
    } catch (error) {
      if (!(error instanceof DataFolderInUse) || performance.now() - from > patienceMs) throw error;
      if (!waits) outputs.note('A Parley process with this data folder starts or stops; waiting for it.');
      waits = true;
      await delay(pauseMs);
    }
  }
}

/** The embedded database belongs to the running server. Other nodes without Redis can be queried in no other way. */
function mayRunInServer({ queriesNodes = false }: CliCommand, { databaseUrl, redisUrl }: Config): boolean {
  if (process.platform === 'win32') return false;
  return databaseUrl === undefined || (queriesNodes && redisUrl === undefined);
}
