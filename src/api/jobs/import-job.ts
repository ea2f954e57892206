/** The work of an import: the stored body goes through the same import as that of the command line. */
import { failureOf } from '../../storage/failure.ts';
import type { Cache } from '../../storage/cache.ts';
import { invalidationsOfChanges } from '../../storage/cache/invalidations.ts';
import type { postgres } from '../../storage/sql.ts';
import { ImportError, importLines, type ImportProgress } from '../../transfer/import.ts';
import { readParts } from './job-parts.ts';
import type { JobInputs } from './job-row.ts';
import { JobEnded, JobFailed, type JobRun, type Work } from './job-run.ts';

type ImportRun = JobRun<JobInputs['import']>;

export function importWork(sql: postgres.Sql, cache: Pick<Cache, 'invalidate'>): Work<JobInputs['import']> {
  return async (run) => {
    try {
      const { rooms, messages } = await importLines(sql, bytesOf(sql, run), {
        from: progressOf(run),
        saving: (tx, progress) => run.save(tx, { ...progress }),
      });
      return { rooms, messages };
    } catch (error) {
      throw error instanceof ImportError ? reasonOf(error) : error;
    } finally {
      // also the lines before a wrong line are stored
      await cache.invalidate(invalidationsOfChanges.imported());
    }
  };
}

/** The lines before that of the input, or up to that of an earlier run, are stored. */
function progressOf({ input, progress }: ImportRun): ImportProgress {
  const { line = 0, rooms = 0, messages = 0 } = progress;
  return { line: Math.max(input.from - 1, line), rooms, messages };
}

/** An earlier run may have read to the middle: no other statement would find that the run has ended. */
async function* bytesOf(sql: postgres.Sql, { id, signal }: ImportRun): AsyncGenerator<Buffer> {
  for await (const part of readParts(sql, id)) {
    signal.throwIfAborted();
    yield part;
  }
}

function reasonOf(error: ImportError): unknown {
  const { cause, line, message } = error;
  if (cause instanceof JobEnded || failureOf(cause) === 'transient') return cause;
  return error.isOfFile ? new JobFailed('invalid', message, line, error) : error;
}
