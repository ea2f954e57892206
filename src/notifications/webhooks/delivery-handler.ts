/** Sends one delivery: the handler of the jobs of webhooks. */
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { postgres } from '../../storage/sql.ts';
import type { DisabledReason } from '../../protocol/webhooks.ts';
import type { JobHandler, JobResult, LaneJob } from '../lanes/lanes.ts';
import { OutgoingFailed, OutgoingRefused, type Outgoing, type OutgoingAnswer } from '../outgoing.ts';
import { Deliveries, disableWebhook, type Claimed } from './deliveries.ts';
import { deliveryOf, jobOf } from './delivery-job.ts';
import { contentTypes } from './room-event.ts';
import { retryAfterMs } from '../retry-after.ts';
import { signedHeaders } from './signing.ts';
import { Turns } from './turns.ts';

export interface DeliverySettings {
  /** The pauses before the second attempt and the further ones. After the last one the delivery is dead. */
  readonly retryMs: readonly number[];
  /** A webhook is disabled if nothing has arrived for so long. */
  readonly failingMs: number;
  /** The longest time of one call. */
  readonly timeoutMs: number;
}

export interface DeliveryParts {
  readonly sql: postgres.Sql;
  readonly outgoing: Pick<Outgoing, 'post'>;
  readonly addJobs: (jobs: readonly LaneJob[]) => Promise<void>;
  readonly settings: DeliverySettings;
  readonly userAgent: string;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The outcome of one call. */
type Outcome =
  | { readonly kind: 'arrived'; readonly status: number }
  | { readonly kind: 'gone' }
  | { readonly kind: 'failed'; readonly status?: number; readonly error: string; readonly waitMs?: number };

/** A lease is so much longer than a call. */
const leaseMarginMs = 5000;

const done: JobResult = { done: true };

export class DeliveryHandler {
  readonly #parts: DeliveryParts;
  readonly #deliveries: Deliveries;
  readonly #turns = new Turns();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#deliveries = new Deliveries(parts.sql, parts.settings.timeoutMs + leaseMarginMs);
  }

  readonly handle: JobHandler = async (job, signal) => {
    const id = deliveryOf(job.data);
    const webhook = await this.#deliveries.webhookOf(id);
    if (webhook === undefined) return done;
    const turnAt = this.#turns.begin(webhook, Date.now());
    if (turnAt !== undefined) return { again: turnAt };
    const beganAt = performance.now();
    try {
      return await this.#attempt(id, signal);
    } finally {
      this.#turns.end(webhook, performance.now() - beganAt, Date.now());
    }
  };

  async #attempt(id: string, signal: AbortSignal): Promise<JobResult> {
    const claimed = await this.#deliveries.claim(id);
    if (claimed === undefined) {
      const leftMs = await this.#deliveries.unclaimed(id);
      return leftMs === undefined ? done : { again: Date.now() + leftMs + 1 };
    }
    return this.#send(claimed, signal);
  }

  async #send(claimed: Claimed, signal: AbortSignal): Promise<JobResult> {
    const { metrics } = this.#parts;
    const beganAt = performance.now();
    const outcome = await this.#call(claimed, signal);
    if (outcome === undefined) {
      await this.#deliveries.release(claimed);
      return { again: Date.now() };
    }
    metrics.webhooks.attemptSeconds.observe((performance.now() - beganAt) / 1000);
    metrics.webhooks.attempts.inc({ outcome: outcome.kind });
    if (outcome.kind === 'arrived') {
      await this.#wake(await this.#deliveries.arrived(claimed, outcome.status), claimed);
      return done;
    }
    if (outcome.kind === 'gone') {
      if (await this.#deliveries.gone(claimed, 'The receiver answered 410.')) this.#disabled(claimed.webhook, 'gone');
      return done;
    }
    return this.#failed(claimed, outcome);
  }

  /** @returns undefined: the process stops, and nobody knows whether the call arrived */
  async #call(claimed: Claimed, signal: AbortSignal): Promise<Outcome | undefined> {
    const { outgoing, userAgent } = this.#parts;
    const { id, body, url, format, secret, previous_secret: previous } = claimed;
    const secrets = previous === null ? [secret] : [secret, previous];
    const headers = {
      'content-type': contentTypes[format],
      'user-agent': userAgent,
      ...signedHeaders(id, new Date(), body, secrets),
    };
    try {
      return outcomeOf(await outgoing.post(url, body, headers, signal));
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof OutgoingRefused || error instanceof OutgoingFailed)
        return { kind: 'failed', error: error.message.slice(0, maxErrorLength) };
      throw error;
    }
  }

  async #failed(claimed: Claimed, { status, error, waitMs = 0 }: Outcome & { kind: 'failed' }): Promise<JobResult> {
    const { settings, metrics } = this.#parts;
    const pause = settings.retryMs[claimed.attempts - 1];
    const retryMs = pause === undefined ? undefined : Math.max(pause, waitMs);
    const { next, failingMs } = await this.#deliveries.failed(claimed, { status, error, retryMs });
    if (retryMs === undefined) metrics.webhooks.dead.inc();
    if (failingMs >= settings.failingMs) {
      if (await disableWebhook(this.#parts.sql, claimed.webhook, 'failing')) this.#disabled(claimed.webhook, 'failing');
      return done;
    }
    await this.#wake(next, claimed);
    return retryMs === undefined ? done : { again: Date.now() + retryMs };
  }

  /** The next delivery of the room has its turn. */
  async #wake(next: string | undefined, { ordered }: Claimed): Promise<void> {
    if (ordered && next !== undefined) await this.#parts.addJobs([jobOf(next, '_next')]);
  }

  #disabled(webhook: string, reason: DisabledReason): void {
    const { metrics, log } = this.#parts;
    metrics.webhooks.disabled.inc({ reason });
    log.warn(
      { webhook, reason },
      'A webhook is disabled; its URL gets no events until an operator enables the webhook.',
    );
  }
}

const maxErrorLength = 300;

function outcomeOf({ status, headers }: OutgoingAnswer): Outcome {
  if (status >= 200 && status < 300) return { kind: 'arrived', status };
  if (status === 410) return { kind: 'gone' };
  const waitMs = retryAfterMs(headers['retry-after'], Date.now());
  return {
    kind: 'failed',
    status,
    error: `The receiver answered ${status}.`,
    ...(waitMs === undefined ? {} : { waitMs }),
  };
}
