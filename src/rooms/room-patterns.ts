/**
 * Patterns of room ids. `*` stands for any number of characters, also none. The pieces between the stars are searched from
 * left to right, and each piece takes its first place. An earlier place leaves more text for the pieces after it, so no
 * search goes back. The time grows with the text and not with the number of stars.
 */
export class RoomPatterns {
  /** Whether every room matches. */
  readonly any: boolean;
  readonly #patterns: readonly (readonly string[])[];

  constructor(patterns: readonly string[]) {
    this.any = patterns.some((pattern) => /^\*+$/.test(pattern));
    this.#patterns = patterns.map((pattern) => pattern.split('*'));
  }

  match(room: string): boolean {
    return this.any || this.#patterns.some((pieces) => matches(pieces, room));
  }
}

function matches([first = '', ...rest]: readonly string[], room: string): boolean {
  const last = rest.pop();
  if (last === undefined) return room === first;
  if (room.length < first.length + last.length || !room.startsWith(first) || !room.endsWith(last)) return false;
  const end = room.length - last.length;
  let from = first.length;
  for (const piece of rest) {
    const at = room.indexOf(piece, from);
    if (at === -1 || at + piece.length > end) return false;
    from = at + piece.length;
  }
  return true;
}
