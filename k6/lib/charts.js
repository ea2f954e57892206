// @ts-check
import { ms, number } from './report.js';

const size = { width: 440, height: 180, left: 52, right: 12, top: 8, bottom: 24 };

/** The next round number. @param {number} value */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (step * power >= value) return step * power;
  return 10 * power;
}

/** @param {number} n */
const at = (n) => n.toFixed(1);

/**
 * Draws values over the run. A part of the run without a value leaves a gap.
 * @param {string} title
 * @param {string} unit
 * @param {readonly string[]} labels
 * @param {readonly {name: string, values: readonly (number | undefined)[]}[]} series at most three
 */
export function lines(title, unit, labels, series) {
  const values = series.flatMap((one) => one.values).filter((value) => value !== undefined);
  if (values.length === 0) return '';
  const top = roundUp(Math.max(...values));
  const { width, height, left, right, bottom } = size;
  const x = (/** @type {number} */ i) => left + ((width - left - right) * (i + 0.5)) / labels.length;
  const y = (/** @type {number} */ v) => size.top + (height - size.top - bottom) * (1 - v / top);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const level = y(share * top);
    return `<line class="grid" x1="${left}" x2="${width - right}" y1="${at(level)}" y2="${at(level)}"/><text x="${left - 6}" y="${at(level + 4)}" text-anchor="end">${number(share * top)}</text>`;
  });
  const every = Math.ceil(labels.length / 6);
  const marks = labels.map((label, i) =>
    i % every === 0 ? `<text x="${at(x(i))}" y="${height - 6}" text-anchor="middle">${label}</text>` : '',
  );
  const drawn = series.map(({ name, values: of }, s) => {
    let path = '';
    of.forEach((value, i) => {
      if (value !== undefined) path += `${of[i - 1] === undefined ? 'M' : 'L'}${at(x(i))} ${at(y(value))}`;
    });
    const dots = of.map((value, i) =>
      value === undefined
        ? ''
        : `<circle class="dot s${s}" cx="${at(x(i))}" cy="${at(y(value))}" r="2.5"><title>${name}, ${labels[i]}: ${number(value)} ${unit}</title></circle>`,
    );
    return `<path class="line s${s}" d="${path}"/>${dots.join('')}`;
  });
  const most = series.map(({ name, values: of }) => {
    const known = of.filter((value) => value !== undefined);
    return `${name} up to ${known.length === 0 ? '–' : number(Math.max(...known))}`;
  });
  const legend =
    series.length < 2
      ? ''
      : `<ul class="legend">${series.map(({ name }, s) => `<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="line s${s}" d="M1 4H23"/></svg>${name}</li>`).join('')}</ul>`;
  return `<figure><h3>${title} <small>${unit}</small></h3><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title} ${unit}: ${most.join(', ')}">${grid.join('')}${marks.join('')}${drawn.join('')}</svg>${legend}</figure>`;
}

/**
 * Percentiles of a time as bars on a logarithmic scale.
 * @param {string} title
 * @param {import('./report.js').Spread} values
 */
export function bars(title, values) {
  const rows = /** @type {const} */ ([
    ['p50', values.med],
    ['p75', values['p(75)']],
    ['p90', values['p(90)']],
    ['p95', values['p(95)']],
    ['p99', values['p(99)']],
    ['p99.9', values['p(99.9)']],
    ['max', values.max],
  ]);
  const least = 0.05;
  const most = Math.log(Math.max(values.max, 1) / least);
  const [left, width, step] = [44, 440, 21];
  const drawn = rows.map(([name, value], i) => {
    const length = Math.max(2, ((width - left - 76) * Math.log(Math.max(value, least) / least)) / most);
    const top = i * step + 4;
    return `<text x="${left - 8}" y="${top + 11}" text-anchor="end">${name}</text><rect class="bar" x="${left}" y="${top}" width="${at(length)}" height="14" rx="3" opacity="${at(1 - i * 0.08)}"/><text class="value" x="${at(left + length + 6)}" y="${top + 11}">${ms(value)}</text>`;
  });
  const described = rows.map(([name, value]) => `${name} ${ms(value)}`).join(', ');
  return `<figure><h3>${title} <small>${number(values.count)} measured, logarithmic</small></h3><svg viewBox="0 0 ${width} ${rows.length * step + 4}" role="img" aria-label="${title}: ${described}">${drawn.join('')}</svg></figure>`;
}
