/** The machine's Chromium. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

const whole = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** The first one that is there. The headless shell draws no windows, and needs a third less of the processor. */
const programs = ['chromium-headless-shell', ...whole];
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(programs), args: [...flags, ...more] });
}

/** Chromium with all its parts. The headless shell shows no notifications, and refuses the permission. */
export function launchWhole(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(whole), args: flags });
}

function findChromium(names: readonly string[]): string {
  const named = process.env['CHROMIUM_PATH'];
  if (named !== undefined) return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    `The browser tests need one of ${names.join(', ')}: install it (apt-get install ${names[0]}) or name it in CHROMIUM_PATH.`,
  );
}
