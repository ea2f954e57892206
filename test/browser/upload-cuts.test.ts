/** Uploads of the demo that are interrupted: by a network that cuts a request in the middle, and by a reload of the page. */
import { createHash, randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../support/processes.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { audit } from './audit.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const limitMs = 90_000;
const mebibyte = 1024 * 1024;
// Chromium itself sends a request again whose connection was reset: the offset of the part is wrong then
const stage = useStage(/ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_FAILED|WebSocket connection|409 \(Conflict\)/);
const folder = temporaryFolder('parley-upload-cuts-');
afterAll(() => rmSync(folder, { recursive: true }));

/** A file on the disk, so that the browser sees the same time of its last change each time. */
function fileOf(name: string, bytes: number): { readonly path: string; readonly hash: string } {
  const content = randomBytes(bytes);
  content.write('%PDF-1.7\n');
  const path = join(folder, name);
  writeFileSync(path, content);
  return { path, hash: createHash('sha256').update(content).digest('hex') };
}

/** The requests of uploads that the page has made. */
function watch(page: Page): {
  readonly posts: () => number;
  readonly heads: () => number;
  readonly offsets: number[];
} {
  let posts = 0;
  let heads = 0;
  const offsets: number[] = [];
  page.on('request', (request) => {
    if (!request.url().includes('/api/v1/uploads')) return;
    if (request.method() === 'POST') posts++;
    if (request.method() === 'HEAD') heads++;
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
  });
  return { posts: () => posts, heads: () => heads, offsets };
}

/** The hash of the file in a message, read by the link that the button opens. */
async function hashOfSent(page: Page, name: string): Promise<string> {
  const button = page.locator('.item[data-seq]').getByRole('button', { name: `Open ${name}` });
  const [opened] = await Promise.all([
    page.context().waitForEvent('request', (one) => one.url().includes('/files/')),
    button.click(),
  ]);
  return page.evaluate(async (url) => {
    const bytes = await (await fetch(url)).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }, opened.url());
}

it('an upload goes on after its connection was cut in the middle of a part', async () => {
  const proxy = await startProxy(stage.parley.url);
  try {
    const ann = await (await stage.arrive({}, proxy.url)).enter('Ann');
    await ann.create('Channel', 'cut');
    const { page } = ann;
    const requests = watch(page);
    const { path, hash } = fileOf('cut.pdf', 12 * mebibyte);
    let reads = 0;
    // the second part passes slowly, and every read of the proxy counts
    await page.route('**/api/v1/uploads/*', async (route) => {
      const request = route.request();
      if (request.method() === 'PATCH' && request.headers()['upload-offset'] === String(mebibyte)) {
        proxy.slow(() => {
          reads++;
          return 50;
        });
      }
      await route.continue();
    });
    await page.getByLabel('Files', { exact: true }).setInputFiles(path);
    await until('a part of the second part has passed', () => reads > 6, limitMs);
    proxy.cut();
    proxy.restore();
    await page.locator('.pending-file[data-state=ready]').waitFor({ timeout: limitMs });
    // one upload, which never began again: the page read its offset
    expect(requests.posts()).toBe(1);
    expect(requests.heads()).toBeGreaterThan(0);
    expect(requests.offsets.filter((offset) => offset === 0)).toHaveLength(1);
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    expect(await hashOfSent(page, 'cut.pdf')).toBe(hash);
  } finally {
    await proxy.close();
  }
});

it('an upload survives a reload: the user chooses the file again, and the rest of it follows', async () => {
  const ben = await (await stage.arrive()).enter('Ben');
  await ben.create('Channel', 'reloaded');
  const { page } = ben;
  const { path, hash } = fileOf('long.pdf', 3 * mebibyte);
  const input = page.getByLabel('Files', { exact: true });
  await input.setInputFiles(fileOf('whole.pdf', 1000).path);
  await page.locator('.pending-file[data-state=ready]').waitFor();
  const before = watch(page);
  // the second part never leaves
  await page.route('**/api/v1/uploads/*', async (route) => {
    const request = route.request();
    if (request.method() !== 'PATCH' || request.headers()['upload-offset'] !== String(mebibyte)) await route.continue();
  });
  await input.setInputFiles(path);
  await until('the first part is there', () => before.offsets.includes(mebibyte), limitMs);
  await page.reload();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await ben.inRoom('reloaded');

  const after = watch(page);
  await page.locator('.pending-file[data-state=ready]', { hasText: 'whole.pdf' }).waitFor();
  const paused = page.locator('.pending-file[data-state=paused]', { hasText: 'long.pdf' });
  await paused.getByText('with 33 % of 3.1 MB sent').waitFor();
  await ben.field.fill('two files');
  expect(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled()).toBe(true);
  expect(await audit(page)).toEqual([]);

  await paused.getByLabel('File long.pdf').setInputFiles(fileOf('other.pdf', 3 * mebibyte).path);
  await page.getByText('This is another file. Choose long.pdf again as it was, or remove it.').waitFor();
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    paused.getByRole('button', { name: 'Choose long.pdf again to go on' }).click(),
  ]);
  await chooser.setFiles(path);
  await page.locator('.pending-file[data-state=ready]', { hasText: 'long.pdf' }).waitFor({ timeout: limitMs });
  expect([after.posts(), after.offsets[0]]).toEqual([0, mebibyte]);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByRole('list', { name: 'Files to send' }).waitFor({ state: 'detached' });
  expect(await hashOfSent(page, 'long.pdf')).toBe(hash);
  await page.locator('.item[data-seq]').getByRole('button', { name: 'Open whole.pdf' }).waitFor();
  // the files are in a message, and wait no more
  await page.reload();
  await ben.inRoom('reloaded');
  await page.locator('.item[data-seq]').getByRole('button', { name: 'Open whole.pdf' }).waitFor();
  expect(await page.getByRole('list', { name: 'Files to send' }).count()).toBe(0);
});

it('a paused file is removed, here and on the server, and adding the file in the usual way goes on too', async () => {
  const cat = await (await stage.arrive()).enter('Cat');
  await cat.create('Channel', 'paused');
  const { page } = cat;
  const { path } = fileOf('again.pdf', 2 * mebibyte);
  const interrupted = async (): Promise<void> => {
    const requests = watch(page);
    await page.route('**/api/v1/uploads/*', async (route) => {
      const request = route.request();
      if (request.method() !== 'PATCH' || request.headers()['upload-offset'] !== String(mebibyte))
        await route.continue();
    });
    await page.getByLabel('Files', { exact: true }).setInputFiles(path);
    await until('the first part is there', () => requests.offsets.includes(mebibyte), limitMs);
    await page.reload();
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await cat.inRoom('paused');
    await page.locator('.pending-file[data-state=paused]').getByText('with 50 % of').waitFor();
  };
  await interrupted();
  const [removal] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === 'DELETE'),
    page.getByRole('button', { name: 'Remove again.pdf' }).click(),
  ]);
  expect(removal.status()).toBe(204);
  await page.getByRole('list', { name: 'Files to send' }).waitFor({ state: 'detached' });

  await interrupted();
  const requests = watch(page);
  // one gesture with the file twice sends the rest of it once
  await page.getByLabel('Files', { exact: true }).setInputFiles([path, path]);
  await page.locator('.pending-file[data-state=ready]').waitFor({ timeout: limitMs });
  expect([requests.posts(), requests.heads(), requests.offsets]).toEqual([0, 1, [mebibyte]]);
  expect(await page.locator('.pending-file').count()).toBe(1);
});
