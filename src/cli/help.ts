/** The text of `parley --help`. Each command adds its own lines. */
import { version } from '../version.ts';
import { cliCommands } from './commands.ts';

export const help = `parley ${version}: a self-hosted real-time messaging server

Usage: parley <command>

  serve                        start the server (the default)
        [--workers N|auto]     start N processes on one port, with a parent that restarts them
        [--roles gateway,api,worker]  the work of the process (PARLEY_ROLES)
  worker                       run the jobs of notifications: a process without a public port
  token --user U               print a token
        [--name N] [--ttl 1h] [--tier T] [--backend]
${[...cliCommands.values()].flatMap(({ help: lines }) => lines ?? []).join('\n')}
  --help, --version

Environment variables configure Parley; doctor lists them all. Without DATABASE_URL, Parley runs as a demo.
The demo has an embedded database in ./data (PARLEY_DATA_DIR).`;
