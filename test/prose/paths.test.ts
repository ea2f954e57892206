/** Every file of the repository that a page names exists, so that a move of a file also moves its mentions. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

const folders = ['docs', 'bench', 'k6', 'patches', 'test/chaos', 'test/interop'];
const pages = readdirSync(root)
  .filter((name) => name.endsWith('.md'))
  .concat(
    folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
        .map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
    ),
  )
  .sort();

/** A path from the root of the repository. Folders of bench/ and k6/ are left out: some are outputs of a run. */
const path =
  /(?<![\w./@-])(?:(?:src|test|migrations|patches|deploy|nginx)\/[\w./+-]*\w|(?:bench|k6)\/[\w./-]*\.(?:[jt]s|md|sh)\b)/g;
/** A star, an ellipsis or a word in capitals stands for any name. */
const placeholder = /\/(?:[A-Z_]{3,}\b)|NNNN|…|\*|</;

/** Spans and blocks of code, each with the number of its line. */
function codeOf(text: string): { code: string; line: number }[] {
  const found: { code: string; line: number }[] = [];
  let fenced = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    else if (fenced) found.push({ code: line, line: index + 1 });
    else for (const [, code = ''] of line.matchAll(/`([^`]+)`/g)) found.push({ code, line: index + 1 });
  }
  return found;
}

/** Paths in code, and relative targets of links, that do not exist. */
function missingIn(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8');
  const missing: string[] = [];
  for (const { code, line } of codeOf(text)) {
    // an address, a foreign repository or the output of a command is no path of this one
    if (/https?:\/\/|github\.com/.test(code)) continue;
    for (const [name] of code.matchAll(path)) {
      const rest = code.slice(code.indexOf(name) + name.length);
      if (placeholder.test(name + rest.slice(0, 2))) continue;
      if (!existsSync(join(root, name))) missing.push(`${page}:${line}: \`${name}\` does not exist`);
    }
  }
  for (const [index, line] of text.split('\n').entries()) {
    for (const [, target = ''] of line.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      if (!existsSync(join(root, normalize(join(dirname(page), target)))))
        missing.push(`${page}:${index + 1}: the link to ${target} leads nowhere`);
    }
  }
  return missing;
}

it.each(pages)('%s names only files that exist', (page) => {
  expect(missingIn(page)).toEqual([]);
});

it('docs/demo.md names only files of the demo', () => {
  const files = new Set(
    readdirSync(join(root, 'src/web'), { recursive: true, encoding: 'utf8' }).map((name) => name.split(/[/\\]/).at(-1)),
  );
  const named = readFileSync(join(root, 'docs/demo.md'), 'utf8').matchAll(/`([\w-]+\.tsx?)`/g);
  expect([...named].map(([, name]) => name).filter((name) => !files.has(name))).toEqual([]);
});
