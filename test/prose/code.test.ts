/** Comments, texts, names and titles of tests keep the prose rule (CONTRIBUTING.md, "Prose"), in all files of the project. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commentsOf } from './comments.ts';
import { faults } from './faults.ts';
import { privateNames, stringsOf } from './names.ts';
import { titlesOf } from './titles.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scripts = /\.(?:ts|tsx|js)$/;

function filesOf(folder: string): string[] {
  return readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => /\.(?:ts|tsx|js|c|h|css|html|sh|sql|conf|service)$/.test(path))
    .filter(
      (path) =>
        !/\/(?:node_modules|\.build|results|data)\/|^test\/(?:prose\/.*\.test\.ts|schema\.sql|api\/typed-client\/schema\.d\.ts)/.test(
          path,
        ),
    )
    .sort();
}

const files = [
  '.ci/run',
  '.env.example',
  'docker-compose.yml',
  'Dockerfile',
  ...['bench', 'deploy', 'k6', 'migrations/functions', 'nginx', 'src', 'test'].flatMap(filesOf),
];
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');

/** The name before a colon names the file or the field, as code does: `baseline: What does Parley do?` */
const withoutName = (text: string): string => text.replace(/^\s*([a-z][\w.-]*): /i, '`$1`: ');

/** A comment often begins with a name of the code, which has a small first letter. */
const rulesOfComments = (text: string) =>
  faults(withoutName(text)).filter(({ rule }) => !rule.includes('small letter'));

describe('the prose rule holds for', () => {
  it('comments', () => {
    const comments = files.flatMap((path) => commentsOf(path, read(path)).map((comment) => ({ path, ...comment })));
    // of each kind of file, so that no kind is silently without comments
    for (const kind of [
      '.ts',
      '.tsx',
      '.js',
      '.c',
      '.conf',
      '.yml',
      '.sh',
      '.sql',
      '.service',
      'Dockerfile',
      '.ci/run',
    ])
      expect(
        comments.some(({ path }) => path.endsWith(kind)),
        kind,
      ).toBe(true);
    expect(comments.length).toBeGreaterThan(3000);
    const found = comments.flatMap(({ path, line, text }) =>
      rulesOfComments(text).map((fault) => `${path}:${line + fault.line - 1}: ${fault.rule}: ${fault.sentence}`),
    );
    expect(found).toEqual([]);
  });

  it('titles of tests', () => {
    const titles = files
      .filter((path) => /\.(?:test|contract)\.ts$/.test(path))
      .flatMap((path) => titlesOf(read(path)).map((title) => ({ path, ...title })));
    expect(titles.length).toBeGreaterThan(1500);
    const found = titles.flatMap(({ path, line, text }) =>
      faults(`- ${text}`).map(({ rule, sentence }) => `${path}:${line}: ${rule}: ${sentence}`),
    );
    expect(found).toEqual([]);
  });

  it('the words of texts that the benchmark and the load tests print', () => {
    const texts = files
      .filter((path) => /^(?:bench|k6)\//.test(path) && scripts.test(path))
      .flatMap((path) => stringsOf(path, read(path)).map((text) => ({ path, text })));
    expect(texts.length).toBeGreaterThan(300);
    // a text may be a part of a sentence
    const found = texts.flatMap(({ path, text }) =>
      faults(`- ${text}`)
        .filter(({ rule }) => rule.startsWith('"'))
        .map(({ rule }) => `${path}: ${rule}: ${text}`),
    );
    expect(found).toEqual([]);
  });

  it('names in the code, the benchmark, the load tests and the tests', () => {
    const found = files
      .filter((path) => /^(?:bench|k6|src|test)\//.test(path) && scripts.test(path) && !path.startsWith('test/prose/'))
      .flatMap((path) => privateNames(path, read(path)).map((name) => `${path}: ${name}`));
    expect([...new Set(found)]).toEqual([]);
  });
});
