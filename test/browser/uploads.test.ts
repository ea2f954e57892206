/** Files in the demo: attach, progress, cancel, paste, drop, send, and read again after a reload. */
import { Buffer } from 'node:buffer';
import { expect, it, vi } from 'vitest';
import { until } from '../support/until.ts';
import { pdf } from '../uploads/tus.ts';
import { audit } from './audit.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage();

it('files are attached, cancelled, sent and shown, also after a reload', async () => {
  const ann = await (await stage.arrive()).enter('Ann');
  await ann.create('Channel', 'files');
  const { page } = ann;
  const pending = page.getByRole('list', { name: 'Files to send' });
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles([
    { name: 'plan.pdf', mimeType: 'application/pdf', buffer: Buffer.from(pdf(3_000_000)) },
    { name: 'photo.png', mimeType: 'image/png', buffer: await page.screenshot() },
  ]);
  await pending.getByText('plan.pdf').waitFor();
  await until('both files are there', async () => (await pending.locator('[data-state=ready]').count()) === 2);
  expect(await audit(page)).toEqual([]);
  await ann.field.fill('two files');
  await ann.field.press('Enter');
  await pending.waitFor({ state: 'detached' });

  const shown = async (): Promise<void> => {
    const item = page.locator('.item[data-seq]', { hasText: 'two files' });
    await item.getByRole('button', { name: 'Open plan.pdf' }).waitFor();
    const image = item.locator('img');
    await until('the image is loaded', () => image.evaluate((one: HTMLImageElement) => one.naturalWidth > 1));
    expect(await image.getAttribute('src')).toContain('files/');
  };
  await shown();
  await page.reload();
  await ann.inRoom('files');
  await shown();
  expect(await audit(page)).toEqual([]);
});

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: (() => void) | undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve: () => resolve?.() };
}

it('an upload shows its progress, is cancelled, and a refused one says why', async () => {
  const ben = await (await stage.arrive()).enter('Ben');
  await ben.create('Channel', 'cancelled');
  const { page } = ben;
  // each part waits until the test has seen the progress
  const { promise: gate, resolve: pass } = withResolvers();
  await page.route('**/api/v1/uploads/*', async (route) => {
    if (route.request().method() === 'PATCH' && route.request().headers()['upload-offset'] !== '0') await gate;
    await route.continue();
  });
  await page.getByLabel('Files', { exact: true }).setInputFiles({
    name: 'long.pdf',
    mimeType: 'application/pdf',
    buffer: Buffer.from(pdf(4_000_000)),
  });
  const progress = page.getByRole('progressbar', { name: 'Upload of long.pdf' });
  await until('a part has arrived', async () => Number(await progress.getAttribute('value')) > 0);
  await ben.field.fill('not yet');
  expect(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled()).toBe(true);
  await page.getByRole('button', { name: 'Cancel long.pdf' }).click();
  await progress.waitFor({ state: 'detached' });
  pass();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  expect(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled()).toBe(false);
});

it('a pasted file and a dropped one are attached', async () => {
  const cat = await (await stage.arrive()).enter('Cat');
  await cat.create('Channel', 'pasted');
  const { page } = cat;
  await page.getByRole('button', { name: 'Attach files' }).waitFor();
  const give = (selector: string, kind: 'paste' | 'drop', name: string): Promise<void> =>
    page.evaluate(
      ([where, type, file]) => {
        const data = new DataTransfer();
        data.items.add(new File(['a note'], file, { type: 'text/plain' }));
        const init = { bubbles: true, cancelable: true };
        const event =
          type === 'paste'
            ? new ClipboardEvent('paste', { ...init, clipboardData: data })
            : new DragEvent('drop', { ...init, dataTransfer: data });
        document.querySelector(where)?.dispatchEvent(event);
      },
      [selector, kind, name] as const,
    );
  await give('.composer textarea', 'paste', 'pasted.txt');
  await give('.chat', 'drop', 'dropped.txt');
  const ready = page.locator('.pending-file[data-state=ready]');
  await until('both files are there', async () => (await ready.count()) === 2);
  // files need no text
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.locator('.item[data-seq]').getByRole('button', { name: 'Open dropped.txt' }).waitFor();
});
