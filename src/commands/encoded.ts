import type { Role } from '../protocol/model.ts';

/** The head of a room that an answer names. */
export interface NamedHead {
  readonly id: string;
  readonly rev: number;
  /** The role of the user in the room; null: the user does not receive its events. */
  readonly role?: Role | null;
}

const noHeads: readonly NamedHead[] = [];

/** JSON text of an object. */
export interface JsonText {
  readonly json: string;
  /** The JSON text of each member, by its name; absent: the members are known from the text alone. */
  readonly members?: ReadonlyMap<string, string>;
}

/** An answer that is JSON text already, and the heads that it names. Requests with equal answers may share one. */
export class Encoded {
  readonly heads: readonly NamedHead[];
  readonly #text: JsonText;

  constructor(text: string | JsonText, heads: readonly NamedHead[] = noHeads) {
    this.#text = typeof text === 'string' ? { json: text } : text;
    this.heads = heads;
  }

  get json(): string {
    return this.#text.json;
  }

  get members(): ReadonlyMap<string, string> | undefined {
    return this.#text.members;
  }
}
