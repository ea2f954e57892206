/** `parley doctor`: the effective configuration without secrets, and whether each service answers. */
import type postgres from 'postgres';
import { describeConfig, type Config } from './config.ts';
import { readInstallation } from './messaging/installation.ts';
import { openDataFolder } from './storage/data-folder.ts';
import { openEmbedded, openServer } from './storage/database.ts';
import { migrationsPending } from './storage/migrate.ts';
import { openRedis } from './storage/redis.ts';
import { createLog } from './telemetry/log.ts';
import { version } from './version.ts';

/** @returns whether everything that was checked is well. */
export async function doctor(config: Config, checkKeys: () => void, print: (line: string) => void): Promise<boolean> {
  print(`parley ${version}, node ${process.version}, ${process.platform} ${process.arch}\n`);
  const entries = describeConfig(config);
  const width = Math.max(...entries.map(({ env }) => env.length));
  for (const { env, value, about } of entries) print(`${env.padEnd(width)}  ${value.padEnd(12)}  ${about}`);
  print('');
  const checks: [string, () => Promise<string> | string][] = [
    ['keys', () => (checkKeys(), config.embedded ? 'demo secret' : 'configured')],
    ['database', () => checkDatabase(config)],
  ];
  if (config.redisUrl !== undefined) checks.push(['redis', () => checkRedis(config.redisUrl ?? '')]);
  let well = true;
  for (const [name, check] of checks) {
    try {
      print(`ok    ${name}: ${await check()}`);
    } catch (error) {
      well = false;
      print(`FAIL  ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return well;
}

/** @throws {Error} if the database was restored and nothing has begun a new epoch since. */
async function requireHistory(sql: postgres.Sql): Promise<void> {
  const { intact, complete } = await readInstallation(sql);
  if (!complete) throw new Error('tables lack their primary keys: a restore is under way or failed');
  if (!intact)
    throw new Error(
      'it was restored, copied or promoted, and the epoch is of before; run parley restored, or start a node',
    );
}

async function checkRedis(url: string): Promise<string> {
  const redis = await openRedis({ url, log: createLog({ level: 'silent', pretty: false, node: 'doctor' }) });
  try {
    if (!redis.up) throw new Error('it does not answer (REDIS_URL)');
    const info = await redis.commands.info('server');
    return `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? 'of unknown version'}`;
  } finally {
    await redis.close();
  }
}

async function checkDatabase(config: Config): Promise<string> {
  const folder = config.databaseUrl === undefined ? await openDataFolder(config.dataDir) : undefined;
  try {
    const database =
      folder === undefined
        ? await openServer({ url: config.databaseUrl ?? '', poolSize: 2 })
        : await openEmbedded({ dataDir: folder.path, onFatal: () => {} });
    try {
      const [row] = await database.sql<{ version: string }[]>`select version()`;
      const pending = await migrationsPending(database.sql);
      const schema =
        pending.length === 0 ? 'up to date' : `${pending.length} migrations to apply (parley migrate, or serve)`;
      if (pending.length === 0) await requireHistory(database.sql);
      return `${row?.version.split(' ').slice(0, 2).join(' ') ?? ''} (${database.kind}), schema ${schema}`;
    } finally {
      await database.close();
    }
  } finally {
    await folder?.release();
  }
}
