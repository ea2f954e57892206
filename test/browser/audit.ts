/** The faults for users of a screen reader or with low vision. The check runs inside the page, so it is a text. */
import type { Page } from 'playwright-core';

const script = `(() => {
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const describe = (element) => element.outerHTML.slice(0, 120);
  const faults = [];
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) => top.slice(0, 3).map((value, at) => (value * top[3] + under[at] * (255 - top[3])) / 255);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };

  for (const control of document.querySelectorAll('button, a[href], input, textarea, [tabindex="0"]')) {
    const labels = [...(control.labels ?? [])].map((label) => label.textContent).join('');
    const name = control.getAttribute('aria-label') || labels || control.textContent;
    if (!name || name.trim() === '') faults.push('without a name: ' + describe(control));
  }
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    if (!text || !shown(element) || element.closest('.sr-only, :disabled, [data-state=sending]')) continue;
    const under = ground(element);
    const colour = over(rgba(getComputedStyle(element).color), under);
    const [light, dark] = [luminance(colour), luminance(under)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faults.push('contrast ' + contrast.toFixed(2) + ': ' + describe(element));
  }
  for (const landmark of ['main', 'h1']) {
    if (document.querySelectorAll(landmark).length !== 1) faults.push('not exactly one ' + landmark);
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push('scrolls sideways');
  return faults;
})()`;

export function audit(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(script);
}
