/**
 * A bar chart as SVG text, without a library. The chart has a background, so it can be read on any page, and follows the
 * light or dark setting of the reader. Bars of Parley are coloured, of peers grey, and of the null server empty. A thin line
 * spans the rounds from the worst to the best.
 */

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly kind: 'own' | 'peer' | 'ceiling';
  /** The worst and the best round. */
  readonly spread?: readonly [number, number];
  /** An earlier and higher value, drawn paler behind the bar. */
  readonly before?: number;
  /** The text at the end of the bar. */
  readonly text: string;
}

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  readonly bars: readonly Bar[];
  readonly footer: readonly string[];
}

const width = 800;
const left = 232;
const right = 150;
const top = 66;
const step = 30;
const thickness = 18;
const footerStep = 16;

const style = `
  .page { fill: #ffffff; stroke: #d5dae1 }
  .title { font: 600 17px system-ui, sans-serif; fill: #1a2029 }
  .text { font: 13px system-ui, sans-serif; fill: #1a2029 }
  .own-text { font-weight: 600 }
  .quiet { font: 12px system-ui, sans-serif; fill: #5a6473 }
  .foot { font: 11px system-ui, sans-serif; fill: #5a6473 }
  .own { fill: #2463d1 }
  .peer { fill: #9aa5b4 }
  .own-before { fill: #b9cdf2 }
  .peer-before { fill: #dde2e8 }
  .ceiling { fill: none; stroke: #7a8594; stroke-dasharray: 4 3 }
  .spread { stroke: #1a2029; stroke-width: 1.5 }
  .axis { stroke: #c3cad3 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12161c; stroke: #2d3541 }
    .title, .text { fill: #e8ecf2 }
    .quiet, .foot { fill: #a3aebd }
    .own { fill: #5c97ff }
    .peer { fill: #687385 }
    .own-before { fill: #2a4373 }
    .peer-before { fill: #343c49 }
    .ceiling { stroke: #8b96a6 }
    .spread { stroke: #e8ecf2 }
    .axis { stroke: #3a4452 }
  }`;

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

const known = (value: number): number => (Number.isFinite(value) && value > 0 ? value : 0);
const at = (x: number): string => x.toFixed(1);

export function drawChart({ title, subtitle, bars, footer }: Chart): string {
  const longest = Math.max(...bars.flatMap((b) => [b.value, b.before ?? 0, b.spread?.[1] ?? 0].map(known)), 1e-9);
  const room = width - left - right;
  const scale = (value: number): number => (known(value) / longest) * room;
  const bottom = top + bars.length * step;
  const height = bottom + 22 + footer.length * footerStep + 8;

  const drawn = bars.flatMap((bar, i) => {
    const y = top + i * step + (step - thickness) / 2;
    const middle = y + thickness / 2;
    const own = bar.kind === 'own' ? ' own-text' : '';
    const box = (kind: string, value: number): string =>
      `<rect class="${kind}" x="${left}" y="${at(y)}" width="${at(scale(value))}" height="${thickness}" rx="2"/>`;
    const [worst, best] = bar.spread ?? [0, 0];
    const end = left + Math.max(scale(bar.value), scale(bar.before ?? 0), scale(best));
    return [
      `<text class="text${own}" x="${left - 10}" y="${at(middle + 4.5)}" text-anchor="end">${escape(bar.label)}</text>`,
      ...(bar.before === undefined || bar.kind === 'ceiling' ? [] : [box(`${bar.kind}-before`, bar.before)]),
      box(bar.kind, bar.value),
      ...(best > worst
        ? [
            `<line class="spread" x1="${at(left + scale(worst))}" x2="${at(left + scale(best))}" y1="${at(middle)}" y2="${at(middle)}"/>`,
          ]
        : []),
      `<text class="text${own}" x="${at(end + 8)}" y="${at(middle + 4.5)}">${escape(bar.text)}</text>`,
    ];
  });

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<title>${escape(title)}</title>`,
    `<style>${style}\n</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    `<text class="title" x="20" y="30">${escape(title)}</text>`,
    `<text class="quiet" x="20" y="50">${escape(subtitle)}</text>`,
    ...drawn,
    `<line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${bottom}"/>`,
    ...footer.map((line, i) => `<text class="foot" x="20" y="${bottom + 26 + i * footerStep}">${escape(line)}</text>`),
    '</svg>',
    '',
  ].join('\n');
}
