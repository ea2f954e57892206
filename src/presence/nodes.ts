/**
 * What nodes ask and tell each other, beside events: which connections a user has anywhere, and that there is something
 * new to read. Over Redis it is at most once, without order; an answer says whether it is complete. A lone node asks
 * itself.
 */
import type { Session } from '../protocol/model.ts';

export interface Nodes {
  /** Of all nodes, newest last. Waits a second at most for those that do not answer. Never rejects. */
  sessionsOf(user: string): Promise<SessionList>;
  /** Tells every node, this one too, to look at the revocations now. Never throws; may be lost. */
  revocationsChanged(): void;
  close(): Promise<void>;
}

export interface SessionList {
  readonly sessions: Session[];
  /** Every node has answered, with all it has. */
  readonly complete: boolean;
  /** Names of nodes that live but did not answer. */
  readonly silent: string[];
}

/** What this node answers with. */
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
