/** node --import tsx bench/render.ts docs/benchmarks/results.json docs/benchmarks: writes the page and the charts again, without a run. */
import { readFile } from 'node:fs/promises';
import { document } from './document.ts';
import type { Results } from './report.ts';

const [from, folder] = process.argv.slice(2);
if (from === undefined || folder === undefined) throw new Error('FILE of a run (--json) and FOLDER to write to');
await document(JSON.parse(await readFile(from, 'utf8')) as Results, folder);
