/**
 * Whether a key belongs to the input method that composes, as for Chinese or Japanese: then Enter chooses a candidate and
 * Escape puts them away. Safari ends the composition before it tells of the Enter that ended it, so that `isComposing` is
 * false by then; it is told by the code that all browsers give to keys which an input method took.
 */
export function isComposing(event: Pick<KeyboardEvent, 'isComposing' | 'keyCode'>): boolean {
  return event.isComposing || event.keyCode === takenCode;
}

const takenCode = 229;
