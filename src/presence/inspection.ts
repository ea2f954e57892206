/**
 * Questions of `parley inspect` to all nodes, over Redis.
 *
 * A question goes to the channel `inspect`, and each node answers on the channel of the question. Delivery is at most once and
 * without order. A node of an earlier release does not subscribe to `inspect`, so that it counts as a node without an answer.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { inTime } from '../jobs/within.ts';
import {
  connectionFacts,
  inspectQuestion,
  roomFacts,
  type ConnectionFacts,
  type InspectQuestion,
  type RoomFacts,
} from '../protocol/inspection.ts';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import { liveNodes } from './redis-scripts.ts';

/** Null: the node has no such room or connection. */
export type Facts = RoomFacts | ConnectionFacts | null;

const request = z.strictObject({ id: z.string().max(64), to: z.string().max(256), question: inspectQuestion });
const nodeName = z.string().min(1).max(64);
const answerTo = { id: z.string(), node: nodeName };
const roomAnswer = z.object({ ...answerTo, facts: roomFacts.nullable() });
const connectionAnswer = z.object({ ...answerTo, facts: connectionFacts.nullable() });

const answerMs = 1000;
/** A program that may publish may do so a thousand times a second. */
const warnEveryMs = 10_000;

const channelOf = (prefix: string): string => `${prefix}inspect`;

export interface InspectionOptions {
  readonly redis: RedisLink;
  readonly prefix: string;
  readonly node: string;
  readonly log: Log;
  readonly answer: (question: InspectQuestion) => Exclude<Facts, null> | undefined;
}

/** The side of a node: answers questions while Redis is available. */
export class Inspection {
  readonly #options: InspectionOptions;
  readonly #channel: string;
  readonly #channelBytes: Buffer;
  readonly #stopFollowing: () => void;
  #warnedAt = -Infinity;

  constructor(options: InspectionOptions) {
    this.#options = options;
    this.#channel = channelOf(options.prefix);
    this.#channelBytes = Buffer.from(this.#channel);
    options.redis.subscriber.on('messageBuffer', this.#receive);
    this.#stopFollowing = options.redis.onChange((up) => {
      if (up) this.#subscribe();
    });
    if (options.redis.up) this.#subscribe();
  }

  close(): void {
    this.#stopFollowing();
    this.#options.redis.subscriber.off('messageBuffer', this.#receive);
  }

  #subscribe(): void {
    // a failure is one of the connection, which is made again; the next `up` subscribes again
    this.#options.redis.subscriber.subscribe(this.#channel).catch(() => {});
  }

  readonly #receive = (channel: Buffer, message: Buffer): void => {
    if (!channel.equals(this.#channelBytes)) return;
    const { redis, node, answer, log } = this.#options;
    try {
      const { id, to, question } = request.parse(JSON.parse(message.toString()));
      if (!to.startsWith(`${this.#channel}:`)) return;
      const text = JSON.stringify({ id, node, facts: answer(question) ?? null });
      // the other side reports this node as one without an answer
      redis.commands.publish(to, text).catch(() => {});
    } catch (error) {
      const now = performance.now();
      if (now - this.#warnedAt < warnEveryMs) return;
      this.#warnedAt = now;
      log.warn({ err: error }, 'Could not answer a question of parley inspect; the command reports no answer.');
    }
  };
}

export interface Inspected {
  /** In the order of node names. */
  readonly answers: readonly { readonly node: string; readonly facts: Facts }[];
  /** Live nodes that did not answer within a second. */
  readonly silent: readonly string[];
}

/** Queries all nodes, or the node of that name. Rejects while Redis is unavailable. */
export async function inspectNodes(
  { redis, prefix }: Pick<InspectionOptions, 'redis' | 'prefix'>,
  question: InspectQuestion,
  only?: string,
): Promise<Inspected> {
  const id = randomBytes(9).toString('base64url');
  const to = `${channelOf(prefix)}:${id}`;
  const form = 'room' in question ? roomAnswer : connectionAnswer;
  const live = (await liveNodes(redis.commands, prefix)).map((one) => one.slice(0, one.lastIndexOf('/')));
  const awaited = new Set(only === undefined ? live : live.filter((name) => name === only));
  const answers: { node: string; facts: Facts }[] = [];
  let finish: (() => void) | undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const receive = (channel: string, message: string): void => {
    if (channel !== to) return;
    const parsed = form.safeParse(asJson(message));
    if (!parsed.success || parsed.data.id !== id) return;
    const { node, facts } = parsed.data;
    if (only === undefined || node === only) answers.push({ node, facts });
    awaited.delete(node);
    if (awaited.size === 0) finish?.();
  };
  redis.subscriber.on('message', receive);
  try {
    await redis.subscriber.subscribe(to);
    await redis.commands.publish(channelOf(prefix), JSON.stringify({ id, to, question }));
    if (awaited.size > 0) await inTime(answerMs, finished);
  } finally {
    redis.subscriber.off('message', receive);
  }
  answers.sort((a, b) => (a.node < b.node ? -1 : 1));
  return { answers, silent: [...awaited].toSorted() };
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // another program wrote to the channel; the form refuses it
  }
}
