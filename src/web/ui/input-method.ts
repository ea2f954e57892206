/**
 * Whether a key belongs to the input method that composes, as for Chinese or Japanese. Then Enter chooses a candidate
 * and Escape closes the list. Safari ends the composition before it sends the event of that Enter, so that
 * `isComposing` is already false. All browsers mark keys of an input method with one key code.
 */
export function isComposing(event: Pick<KeyboardEvent, 'isComposing' | 'keyCode'>): boolean {
  return event.isComposing || event.keyCode === takenCode;
}

const takenCode = 229;
