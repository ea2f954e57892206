/** node --import tsx bench/profile.ts FOLDER: the functions with most self time of each profile that `--profile` wrote. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Profile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number };
  }[];
  samples: number[];
  timeDeltas: number[];
}

const maps = new Map<string, SourceMap | undefined>();
const root = join(import.meta.dirname, '..');

function sourceMap(path: string): SourceMap | undefined {
  if (!maps.has(path)) {
    const file = `${path}.map`;
    const payload = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as SourceMap['payload']) : undefined;
    maps.set(path, payload && new SourceMap(payload));
  }
  return maps.get(path);
}

function place(url: string, line: number, column: number): string {
  if (!url.startsWith('file://')) return url;
  const path = fileURLToPath(url);
  const origin = sourceMap(path)?.findEntry(line, column);
  if (origin !== undefined && 'originalLine' in origin) {
    return `${relative(root, join(path, '..', origin.originalSource))}:${origin.originalLine + 1}`;
  }
  return `${relative(root, path)}:${line + 1}`;
}

const folder = process.argv[2] ?? '.';
for (const name of readdirSync(folder).filter((file) => file.endsWith('.cpuprofile'))) {
  const profile = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile;
  const self = new Map<string, number>();
  const labels = new Map(
    profile.nodes.map(({ id, callFrame: f }) => [
      id,
      `${f.functionName || '(anonymous)'}  ${place(f.url, f.lineNumber, f.columnNumber)}`.trim(),
    ]),
  );
  let all = 0;
  for (const [i, id] of profile.samples.entries()) {
    const label = labels.get(id) ?? '?';
    if (label === '(idle)') continue;
    const time = profile.timeDeltas[i] ?? 0;
    all += time;
    self.set(label, (self.get(label) ?? 0) + time);
  }
  console.log(`${name}: ${(all / 1e6).toFixed(1)} s not idle`);
  const top = [...self].sort((a, b) => b[1] - a[1]).slice(0, 25);
  for (const [label, time] of top) console.log(`${((time / all) * 100).toFixed(1).padStart(6)} %  ${label}`);
}
