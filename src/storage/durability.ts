/** The settings of Postgres that decide whether a commit is durable, on which Parley's first promise depends. */
import type { postgres } from './sql.ts';
import type { DatabaseHazard } from '../telemetry/metrics.ts';

export interface ServerSettings {
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  /** `transaction_read_only` of a new session; `on` also on a standby. */
  readonly read_only: string;
}

export type Hazard = DatabaseHazard;

/** The consequence of each bad value, for the operator. */
export const hazards: Readonly<Record<Hazard, string>> = {
  fsync: 'fsync is off: a crash of the database machine loses acknowledged messages or the whole database',
  full_page_writes: 'full_page_writes is off: a crash of the database machine may corrupt the database',
  read_only: 'the database is read-only: no message can be stored',
  synchronous_commit: 'synchronous_commit is off: a crash of Postgres loses acknowledged messages',
};

export function hazardsOf(settings: ServerSettings): Hazard[] {
  const bad: Readonly<Record<Hazard, string>> = {
    fsync: 'off',
    full_page_writes: 'off',
    read_only: 'on',
    synchronous_commit: 'off',
  };
  return (Object.keys(bad) as Hazard[]).filter((name) => settings[name] === bad[name]);
}

/** The settings of a session that sets none itself. */
export async function readSettings(sql: postgres.ISql): Promise<ServerSettings> {
  const [row] = await sql<[ServerSettings]>`
    select current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
      current_setting('synchronous_commit') as synchronous_commit, current_setting('transaction_read_only') as read_only`;
  return row;
}

/**
 * The value for Parley's sessions: at least a flush to the disk of the primary. `remote_apply`, `remote_write` and `local`
 * include that flush, and are the operator's choice for standbys, so they stay.
 */
export function synchronousCommit({ synchronous_commit: found }: ServerSettings): string {
  return found === 'off' ? 'on' : found;
}
