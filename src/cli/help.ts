/** The text of `parley --help`. Each command adds its own lines. */
import { version } from '../version.ts';
import { cacheHelp } from './cache.ts';
import { inspectHelp } from './inspect.ts';
import { keysHelp } from './keys.ts';
import { restoredHelp } from './restored.ts';
import { sessionsHelp } from './sessions.ts';
import { transferHelp } from './transfer.ts';
import { usersHelp } from './users.ts';

export const help = `parley ${version}: a self-hosted real-time messaging server

Usage: parley <command>

  serve                        start the server (the default)
        [--workers N|auto]     start N processes on one port, with a parent that restarts them
  migrate                      bring the database to this version, then end
  token --user U               print a token
        [--name N] [--ttl 1h] [--tier T] [--backend]
${keysHelp}
${sessionsHelp}
${inspectHelp}
${cacheHelp}
${transferHelp}
${usersHelp}
${restoredHelp}
  doctor                       print the configuration without secrets, and check each service
  --help, --version

Environment variables configure Parley; doctor lists them all. Without DATABASE_URL, Parley runs as a demo.
The demo has an embedded database in ./data (PARLEY_DATA_DIR).`;
