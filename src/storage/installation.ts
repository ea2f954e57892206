/** The row that names this installation and the history of its database. See migrations/0012. */
import type { postgres } from './sql.ts';

export interface Installation {
  readonly id: string;
  /** The history of the database; another one after the database went back in time. */
  readonly epoch: string;
  /** When the epoch began; milliseconds since 1970. */
  readonly since: number;
  /** False: the row was copied, restored, or promoted with its server, so the database may have gone back. */
  readonly intact: boolean;
  /** False: a restore is under way. */
  readonly complete: boolean;
  /** How far the database has written its log; 0 where the service does not say. */
  readonly lsn: number;
}

export async function readInstallation(sql: postgres.Sql): Promise<Installation> {
  const [row] = await sql<Installation[]>`select * from installation_state()`;
  if (row === undefined) throw new Error('the table installation has no row');
  return row;
}

/** @returns whether this call began the new epoch; false: another caller did, or `expected` is not the epoch. */
export async function renewEpoch(sql: postgres.Sql, expected: string): Promise<boolean> {
  const [row] = await sql<[{ renewed: boolean }]>`select renew_epoch(${expected}::uuid) as renewed`;
  return row.renewed;
}
