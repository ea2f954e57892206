/** One Tab stop for a group of buttons, and arrow keys inside it. */
import type { TargetedKeyboardEvent } from 'preact';

/** @param columns buttons in a row, for the keys up and down; 1: a single row, which ignores those keys */
export function moveFocus(event: TargetedKeyboardEvent<HTMLElement>, columns = 1): void {
  const buttons = [...event.currentTarget.querySelectorAll('button')];
  const at = buttons.findIndex((button) => button === document.activeElement);
  if (at === -1) return;
  const forward = getComputedStyle(event.currentTarget).direction === 'rtl' ? -1 : 1;
  const steps: Record<string, number> = { ArrowRight: forward, ArrowLeft: -forward };
  if (columns > 1) Object.assign(steps, { ArrowDown: columns, ArrowUp: -columns });
  const { key } = event;
  const to = key === 'Home' ? 0 : key === 'End' ? buttons.length - 1 : at + (steps[key] ?? 0);
  const next = buttons[to];
  if (next === undefined || to === at) return;
  event.preventDefault();
  for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
  next.focus();
}
