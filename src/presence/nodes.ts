/**
 * The questions and notices between nodes, beside events: which connections a user has anywhere, and that there are new
 * revocations. Over Redis each message arrives at most once, without order; an answer says whether it is complete. A lone
 * node answers itself.
 */
import type { Session } from '../protocol/model.ts';

export interface Nodes {
  /** Sessions on all nodes, newest last. Waits at most a second for silent nodes. Never rejects. */
  sessionsOf(user: string): Promise<SessionList>;
  /** Makes every node, this one too, read the revocations now. Never throws; the message may be lost. */
  revocationsChanged(): void;
  close(): Promise<void>;
}

export interface SessionList {
  readonly sessions: Session[];
  /** Every node has answered with all its sessions. */
  readonly complete: boolean;
  /** Names of nodes that live but did not answer. */
  readonly silent: string[];
}

/** The answers of this node. */
export interface NodeHost {
  sessionsOf(user: string): Session[];
  revocationsChanged(): void;
}

export class LoneNode implements Nodes {
  readonly #host: NodeHost;

  constructor(host: NodeHost) {
    this.#host = host;
  }

  sessionsOf(user: string): Promise<SessionList> {
    return Promise.resolve({ sessions: this.#host.sessionsOf(user), complete: true, silent: [] });
  }

  revocationsChanged(): void {
    this.#host.revocationsChanged();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
