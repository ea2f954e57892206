/** The pages that operators and developers read keep the prose rule (CONTRIBUTING.md, "Prose"). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { faults } from './faults.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  '.env.example',
  'bench/README.md',
  'bench/fairness.md',
  'k6/README.md',
  'patches/README.md',
  'test/chaos/README.md',
  'test/interop/README.md',
].concat(
  readdirSync(`${root}docs`, { recursive: true, encoding: 'utf8' })
    .map((path) => `docs/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.md'))
    .sort(),
);

/** The comments of a file of settings, as Markdown. */
function commentsOf(env: string): string {
  return env
    .split('\n')
    .map((line) => /^# (.*)$/.exec(line)?.[1] ?? '')
    .join('\n');
}

it.each(pages)('%s keeps the prose rule', (path) => {
  const text = readFileSync(`${root}${path}`, 'utf8');
  const found = faults(path.endsWith('.md') ? text : commentsOf(text));
  expect(found.map(({ line, rule, sentence }) => `${path}:${line}: ${rule}: ${sentence}`)).toEqual([]);
});

it('each row of the failure modes names its test, or says why there is none', () => {
  const rows = readFileSync(`${root}docs/FAILURE-MODES.md`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\| (?:fault |-)/.test(line))
    .map((line) => line.split('|').at(-2)?.trim() ?? '');
  expect(rows.length).toBeGreaterThan(50);
  const named = rows
    .filter((cell) => !cell.startsWith('none: '))
    .map((cell) => /^`(test\/\S+)`$/.exec(cell)?.[1] ?? cell);
  expect(named.filter((path) => !existsSync(`${root}${path}`))).toEqual([]);
});
