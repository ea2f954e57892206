/** Web Push: RFC 8030, with the encryption of RFC 8291 and the identity of RFC 8292. */
import { createHash } from 'node:crypto';
import webPush from 'web-push';
import type { Lane } from '../../protocol/lanes.ts';
import { OutgoingFailed, OutgoingRefused, type Outgoing, type OutgoingAnswer } from '../outgoing.ts';
import { retryAfterMs } from '../retry-after.ts';
import type { Outcome, Push, Target, Transport } from './transport.ts';
import type { VapidKeys } from './vapid.ts';

export interface WebPushParts {
  readonly keys: VapidKeys;
  /** `mailto:` or `https:`: push services write there about trouble. */
  readonly subject: string;
  readonly outgoing: Pick<Outgoing, 'post'>;
  readonly now?: () => number;
}

const urgencies = {
  critical: 'high',
  high: 'high',
  normal: 'normal',
  low: 'low',
  batch: 'very-low',
} as const satisfies Record<Lane, string>;

/** The pause of a push service that names none, after 429 or 503. */
const pauseMs = 30_000;

export class WebPush implements Transport {
  readonly #parts: WebPushParts;
  /** Push services that need a pause, with its end, by origin. Their number is small, and a new pause replaces the old one. */
  readonly #pauses = new Map<string, number>();

  constructor(parts: WebPushParts) {
    this.#parts = parts;
  }

  async send(target: Target, push: Push, signal: AbortSignal): Promise<Outcome | undefined> {
    const { origin } = new URL(target.address);
    const leftMs = this.#leftMs(origin);
    if (leftMs > 0) return { kind: 'failed', error: 'The push service needs a pause.', waitMs: leftMs };
    let request: Request;
    try {
      request = this.#request(target, push);
    } catch (error) {
      // keys of the browser that the library does not accept
      return { kind: 'refused', error: `No push can be made: ${(error as Error).message}` };
    }
    try {
      return this.#outcomeOf(
        origin,
        await this.#parts.outgoing.post(target.address, request.body, request.headers, signal),
      );
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof OutgoingRefused) return { kind: 'refused', error: error.message };
      if (error instanceof OutgoingFailed) return { kind: 'failed', error: error.message };
      throw error;
    }
  }

  #request({ address, secrets }: Target, { payload, lane, topic, ttlMs }: Push): Request {
    const { keys, subject } = this.#parts;
    const subscription = { endpoint: address, keys: JSON.parse(secrets ?? '{}') as { p256dh: string; auth: string } };
    const { body, headers } = webPush.generateRequestDetails(subscription, payload, {
      vapidDetails: { subject, ...keys },
      TTL: Math.max(0, Math.ceil(ttlMs / 1000)),
      urgency: urgencies[lane],
      topic: topicOf(topic),
      contentEncoding: 'aes128gcm',
    });
    const texts = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-length');
    return { body, headers: Object.fromEntries(texts.map(([name, value]) => [name.toLowerCase(), String(value)])) };
  }

  #outcomeOf(origin: string, { status, headers }: OutgoingAnswer): Outcome {
    if (status >= 200 && status < 300) return { kind: 'sent' };
    const error = `The push service answered ${status}.`;
    if (status === 404 || status === 410) return { kind: 'gone', error };
    if (status === 429 || status === 503) {
      const waitMs = retryAfterMs(headers['retry-after'], this.#now()) ?? pauseMs;
      this.#pauses.set(origin, this.#now() + waitMs);
      return { kind: 'failed', error, waitMs };
    }
    // 401 and 403 are about the key of the server, which an operator can change; redirects are not followed
    const isFinal = status >= 400 && status < 500 && ![401, 403, 408].includes(status);
    return { kind: isFinal ? 'refused' : 'failed', error };
  }

  #leftMs(origin: string): number {
    const left = (this.#pauses.get(origin) ?? 0) - this.#now();
    if (left <= 0) this.#pauses.delete(origin);
    return left;
  }

  #now(): number {
    return (this.#parts.now ?? Date.now)();
  }
}

interface Request {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** At most 32 characters of base64url, so the name of a room cannot be one. */
function topicOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 32);
}
