/** API keys as nodes have them, each with connections of its own, and a log that a test can search. */
import { ApiKeys, type ApiKeySettings } from '../../../src/api/keys/api-keys.ts';
import { keyCreateInput } from '../../../src/protocol/keys.ts';
import type { KeyCreateInput } from '../../../src/protocol/keys.ts';
import { ParleyError } from '../../../src/protocol/errors.ts';
import { openServer, type Database } from '../../../src/storage/database.ts';
import { createLog, type Log } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { parseMetrics, total } from '../../support/metrics.ts';

export const dayMs = 86_400_000;

export const settings: ApiKeySettings = {
  maxKeys: 1000,
  requestsPerHour: 10_000,
  overlapMs: dayMs,
  failuresPerMinutePerAddress: 1000,
};

export interface KeyNode {
  readonly keys: ApiKeys;
  readonly database: Database;
  readonly metric: (name: string) => Promise<number>;
  stop(): Promise<void>;
}

export interface NodeOptions {
  readonly settings?: Partial<ApiKeySettings>;
  /** How far the clock of the node is ahead. */
  readonly aheadMs?: number;
  readonly log?: Log;
}

/** The lines of each log that was made without one of its own. */
export const lines: string[] = [];
export const searched = createLog({ level: 'debug', pretty: false, node: 'test' }, (line) => void lines.push(line));

export async function startNode(url: string, options: NodeOptions = {}): Promise<KeyNode> {
  const database = await openServer({ url, poolSize: 3 });
  const metrics = new Metrics();
  const keys = new ApiKeys({
    sql: database.sql,
    settings: { ...settings, ...options.settings },
    now: () => Date.now() + (options.aheadMs ?? 0),
    metrics,
    log: options.log ?? searched,
  });
  return {
    keys,
    database,
    metric: async (name) => total(parseMetrics(await metrics.text()), name),
    stop: async () => {
      await keys.stop();
      await database.close();
    },
  };
}

export function wanted(more: Partial<KeyCreateInput> = {}): KeyCreateInput {
  return keyCreateInput.parse({ name: 'Billing', scopes: ['publish'], ...more });
}

/** The code of the refusal. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ParleyError) return error.code;
    throw error;
  }
  return 'accepted';
}
