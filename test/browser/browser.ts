/** Users in a browser. */
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

/** Windows of the tests are incognito, and Chromium says there that it has no push service. */
const incognito = /Push API in incognito mode/;

/** One person at one window with a storage of its own. */
export class Person {
  readonly page: Page;
  readonly #troubles: string[] = [];

  private constructor(page: Page, url: string) {
    this.page = page;
    const home = new URL(url).host;
    page.on(
      'console',
      (message) =>
        message.type() === 'error' &&
        !incognito.test(message.text()) &&
        this.#troubles.push(`console: ${message.text()}`),
    );
    page.on('pageerror', (error) => this.#troubles.push(`thrown: ${error.message}`));
    page.on('request', (request) => {
      if (new URL(request.url()).host !== home) this.#troubles.push(`a request to ${request.url()}`);
    });
    page.on('websocket', (socket) => {
      if (new URL(socket.url()).host !== home) this.#troubles.push(`a socket to ${socket.url()}`);
    });
  }

  static async arrive(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const person = new Person(page, url);
    await page.goto(url);
    return person;
  }

  /** Another tab of the same person, still empty. */
  async another(): Promise<Person> {
    const page = await this.page.context().newPage();
    page.setDefaultTimeout(30_000);
    return new Person(page, this.page.url());
  }

  /** Through the sign-in form, into `general`. */
  async enter(name: string): Promise<this> {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByLabel('Your name').press('Enter');
    await this.inRoom('general');
    return this;
  }

  async inRoom(title: string): Promise<void> {
    // A dialog about the room may still be closing, with the same heading.
    await this.page.locator('.chat-title').getByRole('heading', { name: title, level: 2, exact: true }).waitFor();
    await this.field.waitFor();
  }

  /** In the room, with the focus where what is typed goes. */
  async mayType(title: string): Promise<void> {
    await this.inRoom(title);
    await this.page.locator('.composer textarea:focus').waitFor();
  }

  get field(): Locator {
    return this.page.getByRole('textbox', { name: /^Message / });
  }

  get banner(): Locator {
    return this.page.locator('.banner');
  }

  async create(kind: 'Channel' | 'Group', name: string): Promise<void> {
    await this.page.getByRole('button', { name: 'New channel or group' }).click();
    await this.page.getByRole('dialog').getByText(kind, { exact: true }).click();
    await this.page.getByLabel('Name', { exact: true }).fill(name);
    await this.page.getByRole('button', { name: `Create ${kind.toLowerCase()}` }).click();
    await this.inRoom(name);
  }

  async join(name: string): Promise<void> {
    await this.page.getByRole('button', { name: 'Browse channels' }).click();
    await this.page.getByRole('button', { name: `Join ${name}`, exact: true }).click();
    await this.inRoom(name);
  }

  /** A guest has to confirm first. */
  async signOut(): Promise<void> {
    await this.page.getByRole('button', { name: 'Sign out' }).click();
    await this.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  }

  /** In the list of conversations. */
  link(title: string): Locator {
    return this.page
      .getByRole('navigation')
      .getByRole('link')
      .filter({ has: this.page.getByText(title, { exact: true }) });
  }

  async open(title: string): Promise<void> {
    await this.link(title).click();
    await this.inRoom(title);
  }

  async write(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  /** Writes it and waits until the server has it. */
  async say(text: string): Promise<void> {
    await this.write(text);
    await this.stored(text).waitFor();
  }

  item(text: string): Locator {
    return this.page.locator('.item', { hasText: text });
  }

  /** A message that has its number. */
  stored(text: string): Locator {
    return this.page.locator('.item[data-seq]', { hasText: text });
  }

  async reach(text: string): Promise<void> {
    await this.stored(text).waitFor();
  }

  /** The texts of the open room, in order. */
  texts(): Promise<string[]> {
    return this.page.locator('.item .text').allInnerTexts();
  }

  /** The page went on without an error and spoke to nobody but its server. `besides`: errors that the test causes. */
  expectNoTrouble(besides?: RegExp): void {
    expect(this.#troubles.filter((trouble) => besides?.test(trouble) !== true)).toEqual([]);
  }
}
