import { randomBytes } from 'node:crypto';
import { inTime } from '../jobs/within.ts';
import { limits } from '../protocol/limits.ts';
import type { Session } from '../protocol/model.ts';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import type { NodeHost, Nodes, SessionList } from './nodes.ts';
import { liveNodes } from './redis-scripts.ts';

export interface RedisNodesOptions {
  readonly redis: RedisLink;
  readonly prefix: string;
  readonly log: Log;
  /** Answers the questions of other nodes; absent on the command line, which only sends questions. */
  readonly host?: NodeHost;
  /** The name of this node in presence. Presence knows which nodes have to answer. */
  readonly incarnation?: () => string;
  /** Called for each message that could not be read. */
  readonly unreadable?: () => void;
}

type Message =
  | { readonly ask: 'sessions'; readonly id: string; readonly user: string; readonly to: string }
  | { readonly tell: 'revocations' }
  | { readonly answer: string; readonly from: string; readonly sessions: Session[]; readonly complete: boolean };

interface Question {
  /** Nodes that live and have not answered. */
  readonly awaited: Set<string>;
  readonly answered: Set<string>;
  /** How many subscribers Redis passed the question to; unknown until Redis has said so. */
  receivers: number;
  readonly sessions: Session[];
  complete: boolean;
  done: () => void;
}

const answerMs = 1000;
/** A client of Redis may publish a thousand unreadable messages a second. */
const warnEveryMs = 10_000;
/** Questions that wait for their answers. */
const maxQuestions = 1000;

/** Questions go to all nodes on the channel `control`. Answers go to the sender's own channel, `control:<random>`. */
export class RedisNodes implements Nodes {
  readonly #options: RedisNodesOptions;
  readonly #channel: string;
  readonly #own: string;
  /** Both names as bytes. Messages of fan-out come by the same connection, and only messages of these channels become text. */
  readonly #channels: readonly Buffer[];
  readonly #questions = new Map<string, Question>();
  readonly #stopListening: () => void;
  #subscribed: Promise<boolean> = Promise.resolve(false);
  #warnedAt = -Infinity;

  constructor(options: RedisNodesOptions) {
    this.#options = options;
    this.#channel = `${options.prefix}control`;
    this.#own = `${this.#channel}:${randomBytes(9).toString('base64url')}`;
    this.#channels = [this.#channel, this.#own].map((name) => Buffer.from(name));
    options.redis.subscriber.on('messageBuffer', this.#onMessage);
    this.#stopListening = options.redis.onChange((up) => {
      if (up) this.#subscribe();
    });
    if (options.redis.up) this.#subscribe();
  }

  async sessionsOf(user: string): Promise<SessionList> {
    const alone = { sessions: this.#options.host?.sessionsOf(user) ?? [], complete: false, silent: [] };
    const { redis, prefix } = this.#options;
    if (!redis.up || this.#questions.size >= maxQuestions || !(await this.#subscribed)) return alone;
    const id = randomBytes(9).toString('base64url');
    try {
      const awaited = new Set(await liveNodes(redis.commands, prefix));
      const answeredBy = new Set<string>();
      const question: Question = {
        awaited,
        answered: answeredBy,
        receivers: Infinity,
        sessions: [],
        complete: true,
        done: () => {},
      };
      this.#questions.set(id, question);
      const answered = inTime(answerMs, new Promise<void>((resolve) => (question.done = resolve)));
      question.receivers = await this.#send(this.#channel, { ask: 'sessions', id, user, to: this.#own });
      if (!isAnswered(question)) await answered;
      const sessions = question.sessions.sort((a, b) => a.since - b.since).slice(0, limits.sessionsListed);
      return {
        sessions,
        complete: question.complete && isAnswered(question) && sessions.length === question.sessions.length,
        silent: [...awaited].map((incarnation) => incarnation.slice(0, incarnation.lastIndexOf('/'))),
      };
    } catch {
      return alone;
    } finally {
      this.#questions.get(id)?.done();
      this.#questions.delete(id);
    }
  }

  revocationsChanged(): void {
    // this node reads at once: Redis may be unavailable
    this.#options.host?.revocationsChanged();
    // the message may be lost: every node reads the revocations each second anyway
    void this.#send(this.#channel, { tell: 'revocations' }).catch(() => {});
  }

  close(): Promise<void> {
    this.#stopListening();
    this.#options.redis.subscriber.off('messageBuffer', this.#onMessage);
    for (const { done } of this.#questions.values()) done();
    return Promise.resolve();
  }

  #subscribe(): void {
    const channels = this.#options.host === undefined ? [this.#own] : [this.#channel, this.#own];
    this.#subscribed = this.#options.redis.subscriber.subscribe(...channels).then(
      () => true,
      () => false,
    );
  }

  /** @returns the number of subscribers that got it. */
  async #send(channel: string, message: Message): Promise<number> {
    if (!this.#options.redis.up) return 0;
    return this.#options.redis.commands.publish(channel, JSON.stringify(message));
  }

  readonly #onMessage = (channel: Buffer, message: Buffer): void => {
    if (!this.#channels.some((one) => channel.equals(one))) return;
    try {
      this.#take(JSON.parse(message.toString()) as Message);
    } catch (error) {
      this.#options.unreadable?.();
      const now = performance.now();
      if (now - this.#warnedAt < warnEveryMs) return;
      this.#warnedAt = now;
      this.#options.log.warn({ err: error }, 'A message of another node could not be read and is dropped.');
    }
  };

  #take(message: Message): void {
    const { host, incarnation } = this.#options;
    if ('answer' in message) {
      this.#answered(message);
    } else if ('tell' in message) {
      host?.revocationsChanged();
    } else if (host !== undefined && message.to.startsWith(`${this.#channel}:`)) {
      const all = host.sessionsOf(message.user);
      const sessions = all.slice(0, limits.sessionsListed);
      const complete = sessions.length === all.length;
      const answer = { answer: message.id, from: incarnation?.() ?? '', sessions, complete };
      // without an answer, the sender lists this node as silent
      void this.#send(message.to, answer).catch(() => {});
    }
  }

  #answered({ answer, from, sessions, complete }: Extract<Message, { answer: string }>): void {
    const question = this.#questions.get(answer);
    if (question === undefined) return;
    question.sessions.push(...sessions);
    question.complete &&= complete;
    question.awaited.delete(from);
    question.answered.add(from);
    if (isAnswered(question)) question.done();
  }
}

/** Redis may have lost the list of living nodes, or not have it yet. Therefore the recipients of the question count too. */
function isAnswered({ awaited, answered, receivers }: Question): boolean {
  return awaited.size === 0 && answered.size >= receivers;
}
