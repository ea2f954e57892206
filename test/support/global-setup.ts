import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { openServer } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { embeddedTemplate, temporaryFolder } from './processes.ts';
import { startPostgres, startRedis } from './services.ts';
import { entry, runProgram } from './spawn.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's URL of the Postgres server. */
    postgresUrl: string;
    /** Shared by all test files: each takes a key prefix of its own. Those that kill it start another. */
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
    const postgres = await startPostgres();
    cleanUp.push(() => postgres.stop());
    const prefix = `parley_test_${randomBytes(4).toString('hex')}`;
    const admin = await openServer({ url: postgres.url, poolSize: 1, statementTimeoutMs: 60_000 });
    cleanUp.push(async () => {
      // A server that was given, by TEST_DATABASE_URL, is left as it was found.
      const names = await admin.sql<{ datname: string }[]>`
        select datname from pg_database where starts_with(datname, ${prefix})`;
      for (const { datname } of names) await admin.sql`drop database ${admin.sql(datname)} with (force)`;
      await admin.close();
    });
    await admin.sql`create database ${admin.sql(prefix)}`;
    const url = new URL(postgres.url);
    url.pathname = `/${prefix}`;
    const template = await openServer({ url: url.href, poolSize: 1 });
    await migrate(template.sql);
    await template.close();
    await makeEmbeddedTemplate();
    project.provide('postgresUrl', postgres.url);
    project.provide('databasePrefix', prefix);
  } catch (error) {
    await teardown();
    throw error;
  }
}

/**
 * An embedded database that has had its first start, for `makeDataDir`: that takes 4 s of processor, a copy 0.1 s. Made by
 * the built program; where that is not built, each test has a first start. Not provided as the others are, for programs
 * without Vitest make data folders too.
 */
async function makeEmbeddedTemplate(): Promise<void> {
  if (!existsSync(entry)) return;
  const folder = temporaryFolder('parley-embedded-');
  cleanUp.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const { code, stderr } = await runProgram(['migrate'], { PARLEY_DATA_DIR: folder });
  if (code !== 0) throw new Error(`The embedded database could not be made: ${stderr}`);
  process.env[embeddedTemplate] = join(folder, 'postgres');
}

/** Vitest does not call it when `setup` failed. */
export async function teardown(): Promise<void> {
  const steps = cleanUp.toReversed();
  cleanUp = [];
  for (const step of steps) await step();
}
