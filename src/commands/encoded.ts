import type { Role } from '../protocol/model.ts';

/** The head of a room that an answer names. */
export interface NamedHead {
  readonly id: string;
  readonly rev: number;
  /** The role of the user in the room; null: the user does not receive its events. */
  readonly role?: Role | null;
}

const noHeads: readonly NamedHead[] = [];

/** An answer that is JSON text already, and the heads that it names. */
export class Encoded {
  readonly json: string;
  readonly heads: readonly NamedHead[];

  constructor(json: string, heads: readonly NamedHead[] = noHeads) {
    this.json = json;
    this.heads = heads;
  }
}
