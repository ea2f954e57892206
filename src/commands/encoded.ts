import type { Role } from '../protocol/model.ts';

/** The head of a room that an answer names. */
export interface NamedHead {
  readonly id: string;
  readonly rev: number;
  /** The role of the user in the room; null: the user gets no events of the room. */
  readonly role?: Role | null;
}

const noHeads: readonly NamedHead[] = [];

/** JSON text of an object that needs no second encoding, and the heads that it names. */
export class Encoded {
  readonly json: string;
  readonly heads: readonly NamedHead[];

  constructor(json: string, heads: readonly NamedHead[] = noHeads) {
    this.json = json;
    this.heads = heads;
  }
}
