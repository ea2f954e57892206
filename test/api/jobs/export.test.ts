/** Exports over REST: of a room as a stream, and of all rooms as a job. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { exportWork } from '../../../src/api/jobs/export-job.ts';
import { readParts } from '../../../src/api/jobs/job-parts.ts';
import { JobEnded, type JobRun } from '../../../src/api/jobs/job-run.ts';
import type { JobInputs, JobRow } from '../../../src/api/jobs/job-row.ts';
import { JobStore } from '../../../src/api/jobs/job-store.ts';
import { exportRooms } from '../../../src/transfer/export.ts';
import { importLines } from '../../../src/transfer/import.ts';
import { createTestDatabase } from '../../support/database.ts';
import { temporaryFolder } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import { stage } from '../../stage.ts';
import { makeKey, request } from '../keys-routes.ts';
import { askJob, ended } from './client.ts';
import { fileOf } from './lines.ts';
