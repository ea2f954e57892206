/** Restores a lost focus, so that keyboard users do not start at the top of the page again. */
import { phone } from './hooks.ts';

function take(element: Element | null | undefined): boolean {
  if (!(element instanceof HTMLElement) || element === document.body || !element.checkVisibility()) return false;
  element.focus();
  return document.activeElement === element;
}

/** Focuses the first visible one of these. Without one, focuses the text field, or on a phone the name of the room. */
export function giveFocus(...ways: readonly (Element | null | undefined)[]): void {
  const room = matchMedia(phone).matches ? '.chat-title h2' : '.chat .composer textarea';
  [...ways, document.querySelector(room)].some(take);
}

/**
 * A button that is disabled or removed by its own action loses the focus to the page.
 *
 * @returns a function that restores the focus afterwards: to the button, or to the first one of the same container
 */
export function holdFocus(): () => void {
  const { activeElement: held } = document;
  const place = held?.closest('dialog, .panel, .pins, nav');
  const back = (): void => {
    if (document.activeElement !== document.body) return;
    [held, place?.querySelector('button:not(:disabled)')].some(take);
  };
  // Runs after the render.
  return () => void setTimeout(back);
}
