/** `parley doctor`: prints the effective configuration without secrets, and checks each service. */
import type { postgres } from '../storage/sql.ts';
import { requireKeys, type Config } from '../config/config.ts';
import { describeConfig } from '../config/describe.ts';
import { requireNoEviction } from '../notifications/lanes/eviction.ts';
import { readInstallation } from '../storage/installation.ts';
import { ServerClock } from '../storage/clock.ts';
import { DataFolderInUse } from '../storage/data-folder.ts';
import { hazards, hazardsOf } from '../storage/durability.ts';
import { isFunction } from '../storage/function-files.ts';
import { migrationsPending } from '../storage/migrate.ts';
import { evictionText, openRedis } from '../storage/redis.ts';
import { checkSearchLanguage } from '../search/search-language.ts';
import { createLog } from '../telemetry/log.ts';
import { capConnections, openFilesLimit } from '../telemetry/system.ts';
import { version } from '../version.ts';
import { parseOptions } from './arguments.ts';
import type { CommandContext } from './context.ts';

export const doctorHelp = `  doctor                       print the configuration without secrets, and check each service`;

/** @returns whether every check passed. */
export async function doctorCommand(args: string[], context: CommandContext): Promise<boolean> {
  parseOptions(args, {});
  const { config } = context;
  const print = (line: string): void => context.print(line);
  print(`parley ${version}, node ${process.version}, ${process.platform} ${process.arch}\n`);
  const entries = describeConfig(config);
  const width = Math.max(...entries.map(({ env }) => env.length));
  for (const { env, value, about } of entries) print(`${env.padEnd(width)}  ${value.padEnd(12)}  ${about}`);
  print('');
  const checks: [string, () => Promise<string> | string][] = [
    ['keys', () => (requireKeys(config), config.embedded ? 'demo secret' : 'configured')],
    ['database', () => checkDatabase(context)],
  ];
  checks.push(['open files', () => checkOpenFiles(config)]);
  const { redisUrl, redisPrefix } = config;
  if (redisUrl !== undefined) {
    checks.push([
      'redis',
      () => checkRedis(redisUrl, redisPrefix, config.laneEviction, (line) => print(`warn  redis: ${line}`)),
    ]);
  }
  let well = true;
  for (const [name, check] of checks) {
    try {
      print(`ok    ${name}: ${await check()}`);
    } catch (error) {
      if (error instanceof DataFolderInUse) {
        print(`ok    ${name}: a running Parley has the data folder; stop that Parley to check the database`);
        continue;
      }
      well = false;
      print(`FAIL  ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return well;
}

function checkOpenFiles({ maxConnections, databasePoolSize }: Config): string {
  const limit = openFilesLimit();
  const { warning } = capConnections(maxConnections, databasePoolSize, limit);
  return warning === undefined ? `limit ${limit ?? 'unknown'}, enough for ${maxConnections} connections` : warning;
}

/** @throws {Error} if the database was restored and no epoch has begun since. */
async function requireHistory(sql: postgres.Sql): Promise<void> {
  const { intact, complete } = await readInstallation(sql);
  if (!complete) throw new Error('tables lack their primary keys: a restore is unfinished or failed');
  if (!intact)
    throw new Error(
      'the database was restored, copied or promoted, and has the epoch of its source; run parley restored, or start a node',
    );
}

async function checkRedis(
  url: string,
  prefix: string,
  eviction: Config['laneEviction'],
  warn: (line: string) => void,
): Promise<string> {
  const redis = await openRedis({ url, prefix, log: createLog({ level: 'silent', pretty: false, node: 'doctor' }) });
  try {
    if (redis.problem !== undefined) throw new Error(`${redis.problem} (REDIS_URL)`);
    const { evictionPolicy: policy } = redis;
    requireNoEviction(policy, eviction === 'allow');
    if (policy !== undefined && policy !== 'noeviction') warn(evictionText(policy));
    const info = await redis.commands.info('server');
    return `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? 'of unknown version'}`;
  } finally {
    await redis.close();
  }
}

async function checkDatabase(context: CommandContext): Promise<string> {
  const { config } = context;
  const database = await context.openDatabase();
  try {
    const from = Date.now();
    const [row] = await database.sql<{ version: string; now: number }[]>`
        select version(), clock_timestamp() as now`;
    const clock = new ServerClock();
    if (row !== undefined) clock.measured(row.now, from, Date.now());
    const pending = await migrationsPending(database.sql);
    if (config.search) await checkSearchLanguage(database.sql, config.searchLanguage);
    const functions = pending.filter(isFunction).length;
    const schema =
      pending.length === 0
        ? 'up to date'
        : `${pending.length - functions} migrations to apply, ${functions} functions (parley migrate, or serve)`;
    if (pending.length === 0) await requireHistory(database.sql);
    const found = database.settings === undefined ? [] : hazardsOf(database.settings);
    if (found.includes('read_only'))
      throw new Error(`${hazards.read_only} (default_transaction_read_only, or a standby)`);
    const warnings = found.map((name) => `; WARNING: ${hazards[name]}`);
    if (Math.abs(clock.offsetMs) > 5000)
      warnings.push(
        `; WARNING: the clock of Postgres is ${Math.round(clock.offsetMs / 1000)} s ahead of the clock of this machine`,
      );
    const name = row?.version.split(' ').slice(0, 2).join(' ') ?? '';
    return `${name} (${database.kind}), schema ${schema}${warnings.join('')}`;
  } finally {
    await database.close();
  }
}
