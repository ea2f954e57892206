import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import type postgres from 'postgres';
import { openServer } from '../../src/storage/database.ts';
import { openDatabases } from './open-databases.ts';

export interface TestDatabase {
  readonly url: string;
  /** The pool of `openServer`, so values have the same form as in the server. */
  readonly sql: postgres.Sql;
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  readonly poolSize?: number;
  /** Without tables. */
  readonly empty?: boolean;
}

/** A database of the test file's own, with all migrations applied. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const prefix = inject('databasePrefix');
  const name = `${prefix}_${randomBytes(4).toString('hex')}`;
  const template = options.empty === true ? 'template0' : prefix;
  await asAdministrator((sql) => sql`create database ${sql(name)} template ${sql(template)}`);
  openDatabases.add(name);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  const database = await openServer({ url: url.href, poolSize: options.poolSize ?? 4 });
  return {
    url: url.href,
    sql: database.sql,
    async drop() {
      await database.close();
      await asAdministrator((sql) => sql`drop database ${sql(name)} with (force)`);
      openDatabases.delete(name);
    },
  };
}

/** Runs something in the server's own database: ending other connections, creating roles. */
export async function asAdministrator<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const admin = await openServer({ url: inject('postgresUrl'), poolSize: 1 });
  try {
    return await work(admin.sql);
  } finally {
    await admin.close();
  }
}
