import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { Person } from './browser.ts';
import { launch, launchWhole } from './chromium.ts';
import { Parley, type Adding, type Settings } from './parley.ts';

export interface Stage {
  readonly parley: Parley;
  /** Somebody at a window of their own, before the sign-in form, at the server or at a proxy of it. They leave after each test, and may have had no trouble. */
  arrive(options?: BrowserContextOptions, url?: string): Promise<Person>;
  /** Likewise, in a Chromium that may show notifications. */
  arriveWithNotifications(): Promise<Person>;
}

/**
 * A server and a browser for all tests of the file.
 * @param expected trouble that the tests make
 * @param adding how people come into rooms that they did not join by themselves
 * @param settings further settings of the server
 */
export function useStage(expected?: RegExp, adding?: Adding, settings?: Settings): Stage {
  let parley: Parley | undefined;
  let browser: Browser | undefined;
  let whole: Browser | undefined;
  let people: Person[] = [];
  beforeAll(async () => {
    [parley, browser] = await Promise.all([Parley.start(adding, settings), launch()]);
  });
  afterAll(async () => {
    await Promise.all([browser?.close(), whole?.close()]);
    await parley?.stop();
  });
  afterEach(async () => {
    const present = people;
    people = [];
    await Promise.all(present.map(({ page }) => page.context().close()));
    for (const person of present) person.expectNoTrouble(expected);
  });
  const started = (): { parley: Parley; browser: Browser } => {
    if (parley === undefined || browser === undefined) throw new Error('the stage is there within tests only');
    return { parley, browser };
  };
  const arrive = async (at: Browser, options?: BrowserContextOptions, url = started().parley.url): Promise<Person> => {
    const person = await Person.arrive(at, url, options);
    people.push(person);
    return person;
  };
  return {
    get parley() {
      return started().parley;
    },
    arrive: (options, url) => arrive(started().browser, options, url),
    async arriveWithNotifications() {
      whole ??= await launchWhole();
      return arrive(whole, { permissions: ['notifications'] });
    },
  };
}
