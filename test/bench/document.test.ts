/** The page of the benchmarks: made from the results of a run, without one. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { drawChart } from '../../bench/chart.ts';
import { document, fileOf } from '../../bench/document.ts';
import type { Results } from '../../bench/report.ts';
import { compare, summarize, wasDisturbed } from '../../bench/rounds.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const kept = join(root, 'docs/benchmarks');
/** The page of another benchmark, `bench/rest.ts`. */
const other = 'rest.md';
const folder = mkdtempSync(join(tmpdir(), 'parley-document-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('chart', () => {
  const bars = [
    { label: 'Parley', value: 200, kind: 'own', text: '200', spread: [150, 400] },
    { label: 'a < b & "c"', value: 100, kind: 'peer', text: '100' },
    { label: 'nothing', value: Number.NaN, kind: 'peer', text: 'NaN' },
    { label: 'below', value: -5, kind: 'ceiling', text: '-5' },
  ] as const;
  const svg = drawChart({ title: 'R & D', subtitle: 's', bars, footer: ['one', 'two'] });

  it('keeps the proportions, and draws nothing for what is no length', () => {
    const widths = [...svg.matchAll(/<rect class="(?:own|peer|ceiling)" x="\d+" y="[\d.]+" width="([\d.]+)"/g)];
    expect(widths.map(([, w]) => Number(w))).toEqual([209, 104.5, 0, 0]);
  });

  it('stays inside the picture where a round was better than the median', () => {
    const [, end] = /<line class="spread" x1="[\d.]+" x2="([\d.]+)"/.exec(svg) ?? [];
    expect(Number(end)).toBeLessThanOrEqual(650);
  });

  it('escapes what it is given', () => {
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg).toContain('<title>R &amp; D</title>');
    expect(svg.replaceAll(/&(amp|lt|gt|quot);/g, '')).not.toContain('&');
  });
});

const of = (...rates: number[]) =>
  summarize(
    'row',
    'Parley',
    'a/s',
    rates.map((rate) => ({ rate })),
  );

describe('ratio', () => {
  const peer = of(100, 100, 200);

  it('is the median of the rounds, with the least and the greatest', () => {
    expect(compare(of(150, 80, 240), peer)).toEqual({
      row: 'row',
      of: 'Parley',
      ratio: 1.2,
      spread: { min: 0.8, max: 1.5 },
    });
    expect(compare(of(150), of(100))).not.toHaveProperty('spread');
  });

  it('meets a target only if every round does', () => {
    const ours = of(150, 80, 240);
    expect(compare(ours, peer, 0.8, 1.2)).toMatchObject({ met: 'met', aimMet: 'met by the median' });
    expect(compare(ours, peer, 1.21)).toMatchObject({ met: 'missed' });
  });

  it('is of a machine that was not quiet where others had over 0.3 of a core, unless that was Postgres', () => {
    const busy = { ...peer, cpu: { server: 1, client: 0.5, rest: 0.31 } };
    expect([peer, { ...busy, cpu: { ...busy.cpu, rest: 0.3 } }].some(wasDisturbed)).toBe(false);
    expect(wasDisturbed(busy)).toBe(true);
    expect(wasDisturbed({ ...busy, usesPostgres: true })).toBe(false);
  });
});

describe('page', () => {
  const all = JSON.parse(readFileSync(join(kept, 'results.json'), 'utf8')) as Results;

  it('is what bench/render.ts makes of the results beside it', async () => {
    await document(all, folder);
    expect(readdirSync(folder).sort()).toEqual(
      readdirSync(kept)
        .filter((name) => name !== other)
        .sort(),
    );
    for (const name of readdirSync(folder)) {
      expect(readFileSync(join(folder, name), 'utf8'), name).toBe(readFileSync(join(kept, name), 'utf8'));
    }
  });

  it('has every chart that the README shows', () => {
    const shown = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/docs\/benchmarks\/([\w-]+\.svg)/g)];
    expect(shown.length).toBeGreaterThan(0);
    for (const [, name] of shown) expect(readdirSync(kept)).toContain(name);
  });

  it('names who was left out, what failed, and that a run was short', async () => {
    const leftOut = [{ subject: 'nginx with nchan', why: 'nginx is not installed' }];
    const failed = [{ row: 'echo', error: '3 connections broke' }];
    await document({ ...all, scale: { ...all.scale, quick: true }, leftOut, failed }, folder);
    const text = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(text).toContain('- nginx with nchan: nginx is not installed');
    expect(text).toContain('- echo: 3 connections broke');
    expect(text).toContain('short run');
    for (const [, name] of text.matchAll(/\]\(([\w-]+\.svg)\)/g)) expect(readdirSync(folder)).toContain(name);
  });

  it('shows how far the ratios scatter, and marks the lines for which the machine was not quiet', async () => {
    const fan = structuredClone(all.results[0]) ?? { measured: [], comparisons: [] };
    for (const m of fan.measured) {
      if (m.cpu) m.cpu.rest = m.subject === 'bare ws' ? 0.4 : 0.1;
      m.usesPostgres = false;
    }
    await document({ ...all, results: [fan] }, folder);
    const text = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(text).toMatch(/\| socket\.io on ws +\|.*\| +[\d.]+ × \([\d.]+ to [\d.]+\) \|/);
    expect(text.match(/^† the machine was not quiet/gm)).toHaveLength(1);
    const marked = [...text.matchAll(/^\| (.*?) † +\|/gm)].map(([, subject]) => subject);
    expect(new Set(marked)).toEqual(new Set(['bare ws']));
  });

  it('has file names that need no escaping', () => {
    expect(fileOf('fan-out of a signal, room of 1,000, 16 under way')).toBe(
      'fan-out-of-a-signal-room-of-1000-16-under-way',
    );
  });
});
