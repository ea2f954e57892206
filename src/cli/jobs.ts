/** `parley jobs`: lists and cancels the jobs of REST. For operators, beside running servers. */
import { z } from 'zod';
import { jobOf, type JobRow } from '../api/jobs/job-row.ts';
import { JobStore } from '../api/jobs/job-store.ts';
import { jobSlice } from '../config/slices.ts';
import { jobId, jobStates, type JobState } from '../protocol/jobs.ts';
import { StartupError } from '../startup-error.ts';
import { printableValue } from '../telemetry/printable.ts';
import { parseArguments, parseOptions } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const jobsHelp = `  jobs list [--state S]        print the jobs of REST, the newest first: imports, exports, deletions
        [--json]
  jobs cancel ID               cancel a job; its node ends the run within a second or two`;

const listed = 100;

/** @throws {StartupError} */
export async function jobsCommand(args: string[], context: CommandContext): Promise<void> {
  const [action, ...rest] = args;
  if (action === 'list') {
    const { state, json } = parseOptions(rest, { state: { type: 'string' }, json: { type: 'boolean' } });
    return list(stateOf(state), json === true, context);
  }
  if (action === 'cancel') {
    const { positionals } = parseArguments(rest, {});
    const id = jobId.safeParse(positionals[0]);
    if (!id.success || positionals.length > 1)
      throw new StartupError('The command jobs cancel needs the id of one job.');
    return cancel(id.data, context);
  }
  throw new StartupError('The command jobs needs list or cancel.\nSee parley --help.');
}

function stateOf(given: unknown): JobState | undefined {
  const state = z.enum(jobStates).optional().safeParse(given);
  if (state.success) return state.data;
  throw new StartupError(`--state: expected ${jobStates.join(', ')}.`);
}

async function list(state: JobState | undefined, json: boolean, context: CommandContext): Promise<void> {
  const { config } = context;
  const rows = await withDatabase(context, (sql) =>
    new JobStore(sql, jobSlice(config)).list({ owner: undefined, state, limit: listed }),
  );
  for (const row of rows) context.print(json ? JSON.stringify({ ...jobOf(row), owner: row.owner }) : jobLine(row));
  if (rows.length === 0 && !json) context.print('There are no jobs.');
}

function jobLine({ id, kind, state, owner, progress, error, created_at: created }: JobRow): string {
  const counts = Object.entries(progress).map(([name, count]) => `${name} ${count}`);
  const fault = error === null ? [] : [`${error.code}: ${error.message.split('\n')[0] ?? ''}`];
  const values = [id, new Date(created).toISOString(), kind, state, owner, ...counts, ...fault];
  return values.map(printableValue).join('  ');
}

async function cancel(id: string, context: CommandContext): Promise<void> {
  const row = await withDatabase(context, (sql) => new JobStore(sql, jobSlice(context.config)).cancel(id, undefined));
  if (row === undefined) throw new StartupError(`There is no job ${id}.`);
  if (row.state === 'cancelled') context.print(`Cancelled job ${id}.`);
  else if (row.state === 'running') context.print(`Job ${id} ends at its next step.`);
  else context.print(`Job ${id} has ended; its state is ${row.state}.`);
}
