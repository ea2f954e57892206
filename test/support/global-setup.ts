import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type postgres from 'postgres';
import type { TestProject } from 'vitest/node';
import { openServer } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { bundleProgram } from './bundle.ts';
import { embeddedTemplate, programBundle, temporaryFolder } from './processes.ts';
import { startPostgres, startRedis } from './services.ts';
import { built, startProgram } from './spawn.ts';
import { until } from './until.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's URL of the Postgres server. */
    postgresUrl: string;
    /** Shared by all test files: each takes a key prefix of its own. Files that kill Redis start another one. */
    redisUrl: string;
    /** Every database of this run begins with it; alone it names the template, which has all migrations. */
    databasePrefix: string;
  }
}

let cleanUp: (() => Promise<void>)[] = [];

/** Once a run: the servers, and a template database that each test file clones. */
export async function setup(project: TestProject): Promise<void> {
  try {
    const redis = await startRedis();
    cleanUp.push(() => redis.stop());
    project.provide('redisUrl', redis.url);
    const server = await startPostgres();
    cleanUp.push(() => server.stop());
    const prefix = `parley_test_${randomBytes(4).toString('hex')}`;
    const admin = await openServer({ url: server.url, poolSize: 1, statementTimeoutMs: 60_000 });
    cleanUp.push(async () => {
      // A server that was given, by TEST_DATABASE_URL, is left as it was found.
      const names = await admin.sql<{ datname: string }[]>`
        select datname from pg_database where starts_with(datname, ${prefix})`;
      for (const { datname } of names) await admin.sql`drop database ${admin.sql(datname)} with (force)`;
      await admin.close();
    });
    await admin.sql`create database ${admin.sql(prefix)}`;
    // Runs before the servers stop, when every test file has ended.
    cleanUp.push(() => assertUnused(admin.sql, prefix, redis.url));
    const url = new URL(server.url);
    url.pathname = `/${prefix}`;
    const template = await openServer({ url: url.href, poolSize: 1 });
    await migrate(template.sql);
    await template.close();
    await makeEmbeddedTemplate();
    await makeProgramBundle();
    project.provide('postgresUrl', server.url);
    project.provide('databasePrefix', prefix);
  } catch (error) {
    await teardown();
    throw error;
  }
}

/**
 * An embedded database that has had its first start, for `makeDataDir`: that takes 4 s of processor, a copy 0.1 s. Made by
 * the built program, once for each form of the migrations; where that is not built, each test has a first start. Not
 * provided as the others are, for programs without Vitest make data folders too.
 */
async function makeEmbeddedTemplate(): Promise<void> {
  if (!existsSync(built)) return;
  const { version } = JSON.parse(readFileSync(root('node_modules/@electric-sql/pglite/package.json'), 'utf8')) as {
    version: string;
  };
  const migrations = readdirSync(root('migrations'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.sql'))
    .map((file) => readFileSync(root(`migrations/${file}`), 'utf8'));
  const key = createHash('sha256')
    .update(`${version}\n${migrations.join('\n')}`)
    .digest('hex')
    .slice(0, 16);
  const cache = root('node_modules/.cache/parley-embedded');
  const made = join(cache, key);
  if (!existsSync(made)) {
    const folder = temporaryFolder('parley-embedded-');
    const program = startProgram(['migrate'], { PARLEY_DATA_DIR: folder });
    const { code } = await program.exit(180_000);
    if (code !== 0) throw new Error(`The embedded database could not be made: ${program.stderr()}`);
    mkdirSync(cache, { recursive: true });
    for (const old of readdirSync(cache)) if (!old.includes('.')) await rm(join(cache, old), { recursive: true });
    // another run may be making it too
    const part = `${made}.${process.pid}`;
    await cp(join(folder, 'postgres'), part, { recursive: true });
    await rename(part, made).catch(async (error: unknown) => {
      await rm(part, { recursive: true });
      if (!existsSync(made)) throw error;
    });
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  process.env[embeddedTemplate] = made;
}

/** The program of this run; a build during the run, or another run, changes nothing for it. */
async function makeProgramBundle(): Promise<void> {
  if (!existsSync(built)) return;
  const file = root(`node_modules/.cache/parley-program/${process.pid}.cjs`);
  cleanUp.push(() => rm(file, { force: true }));
  await bundleProgram(built, file);
  process.env[programBundle] = file;
}

/** Fails while a process that a test file left behind is connected to the servers of the run. */
async function assertUnused(sql: postgres.Sql, prefix: string, redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  let left: string[] = [];
  const isUnused = async (): Promise<boolean> => {
    const sessions = await sql<{ name: string; database: string; query: string }[]>`
      select application_name as name, datname as database, left(query, 80) as query from pg_stat_activity
      where backend_type = 'client backend' and starts_with(datname, ${prefix})`;
    const clients = String(await redis.client('LIST'))
      .trim()
      .split('\n');
    const own = `id=${await redis.client('ID')} `;
    left = [
      ...sessions.map(({ name, database, query }) => `a session of ${name} in ${database}: ${query}`),
      ...clients.filter((client) => !client.startsWith(own)).map((client) => `a connection to Redis: ${client}`),
    ];
    return left.length === 0;
  };
  try {
    await until(() => `no test file is connected:\n${left.join('\n')}`, isUnused);
  } finally {
    redis.disconnect();
  }
}

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Vitest does not call it when `setup` failed. */
export async function teardown(): Promise<void> {
  const steps = cleanUp.toReversed();
  cleanUp = [];
  const errors: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}
