/** The hooks in real Chromium. React is no dependency of the project. Preact's compat has the same contract. */
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';
import { useLab } from './lab.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const lab = useLab(fileURLToPath(new URL('react-page.ts', import.meta.url)), { react: 'preact/compat' });

it('draws what the client knows, and again when it changes', async () => {
  const other = connect({ url: lab.server.url, token: () => tokenOf('other'), WebSocket });
  try {
    await other.createRoom({ kind: 'channel', id: 'hooks', name: 'hooks' });
    await other.invite('hooks', 'ann');
    await other.room('hooks').send('one');
    const { page } = await lab.tab(await lab.profile());
    await page.evaluate(`lab.start(${JSON.stringify(await tokenOf('ann'))}, 'hooks')`);
    const shown = async () => JSON.parse(await page.locator('pre').innerText()) as Record<string, unknown>;
    await until('all is there', async () => (await shown())['other'] === true);
    await until('all is drawn', async () => ((await shown())['present'] as unknown[]).length === 2);
    expect(await shown()).toEqual({
      state: 'connected',
      user: 'ann',
      rooms: ['hooks'],
      unread: 1,
      messages: ['one'],
      same: true,
      outgoing: 0,
      members: ['ann', 'other'],
      present: ['ann true', 'other true'],
      other: true,
    });
    await other.room('hooks').send('two');
    await page.getByRole('button').click();
    await until('both are drawn', async () => String((await shown())['messages']) === 'one,two,pressed');
    expect(await page.locator('i').innerText()).toContain('useClient is called outside of a ParleyProvider.');
    // Nothing is left that would draw.
    await page.evaluate('lab.stop()');
    await other.room('hooks').send('three');
    expect(await page.locator('pre').count()).toBe(0);
  } finally {
    other.close();
  }
});
