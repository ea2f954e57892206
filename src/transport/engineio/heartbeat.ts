import type { Session } from './transport-socket.ts';
import type { Topics } from './topics.ts';
import { packet } from './packet.ts';
import { every } from '../../jobs/periodic.ts';

const count = 25;
/** New sessions of one step whose first ping comes after a whole interval. Further ones are spread over all topics. */
const calm = 100;

/**
 * Pings without a timer for each connection: sessions are spread over 25 topics, which get a ping in turn. So every session
 * gets one ping each `pingInterval`, and the load is even.
 */
export class Heartbeat {
  readonly #topics: Topics;
  readonly #timer: NodeJS.Timeout;
  #pinged = 0;
  #joined = 0;

  constructor(topics: Topics, pingIntervalMs: number) {
    this.#topics = topics;
    const stepMs = pingIntervalMs / count;
    let due = performance.now() + stepMs;
    // timers drift; missed steps are made up, so that 25 steps are one interval
    this.#timer = every(() => {
      for (const now = performance.now(); due <= now; due += stepMs) this.#ping();
    }, stepMs);
  }

  join(session: Session): void {
    const spread = this.#joined++ < calm ? 0 : this.#joined;
    session.subscribe(topic(this.#pinged + spread));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #ping(): void {
    this.#pinged = (this.#pinged + 1) % count;
    this.#joined = 0;
    this.#topics.publish(topic(this.#pinged), packet.ping);
  }
}

function topic(n: number): string {
  return `p:${n % count}`;
}
