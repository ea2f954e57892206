/** Where the focus goes when what had it is gone: nobody who uses the keyboard is to begin at the top of the page again. */
import { phone } from './hooks.ts';

function take(element: Element | null | undefined): boolean {
  if (!(element instanceof HTMLElement) || element === document.body || !element.checkVisibility()) return false;
  element.focus();
  return document.activeElement === element;
}

/** To the first of these that is there and seen; without one to where one writes, on a phone to the name of the room. */
export function giveFocus(...ways: readonly (Element | null | undefined)[]): void {
  const room = matchMedia(phone).matches ? '.chat-title h2' : '.chat .composer textarea';
  [...ways, document.querySelector(room)].some(take);
}

/**
 * A button that is disabled or taken away by what it does loses the focus to the page.
 * @returns what gives it back afterwards, to the button or to the first one of what it stood in
 */
export function holdFocus(): () => void {
  const { activeElement: held } = document;
  const place = held?.closest('dialog, .panel, .pins, nav');
  const back = (): void => {
    if (document.activeElement !== document.body) return;
    [held, place?.querySelector('button:not(:disabled)')].some(take);
  };
  // Once that is drawn.
  return () => void setTimeout(back);
}
