/** The regular expressions of the sources, and texts that are the worst for each. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vite';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

export interface FoundRegex {
  readonly file: string;
  /** As it is written; `new RegExp` where it is made of other texts. */
  readonly source: string;
}

export function regexesOf(): FoundRegex[] {
  const found: FoundRegex[] = [];
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' }).toSorted()) {
    if (!/\.tsx?$/.test(file) || file.endsWith('.d.ts')) continue;
    const tree: unknown = parseAst(readFileSync(`${src}${file}`, 'utf8'), { lang: file.endsWith('x') ? 'tsx' : 'ts' });
    visit(tree, (source) => found.push({ file: file.replaceAll('\\', '/'), source }));
  }
  return found;
}

interface Node {
  readonly type?: string;
  readonly regex?: { readonly pattern: string; readonly flags: string };
  readonly callee?: { readonly name?: string };
}

function visit(value: unknown, note: (source: string) => void): void {
  if (Array.isArray(value)) return value.forEach((part) => visit(part, note));
  if (typeof value !== 'object' || value === null || value instanceof RegExp) return;
  const { type, regex, callee } = value as Node;
  if (regex !== undefined) return note(`/${regex.pattern}/${regex.flags}`);
  if ((type === 'NewExpression' || type === 'CallExpression') && callee?.name === 'RegExp') note('new RegExp');
  for (const part of Object.values(value)) visit(part, note);
}

/** From `/pattern/flags`. */
export function toRegExp(source: string): RegExp {
  const end = source.lastIndexOf('/');
  return new RegExp(source.slice(1, end), source.slice(end + 1));
}

/** Characters among which most classes of regular expressions have a member. */
const alphabet = 'aZ09 \t\n\u0001"\\/.:-_@+|<>`~{}[]()*=%,#!?u'
  .split('')
  .concat(['\u00ad', '\u0301', '\u200d', '\ufe0f', '日', 'ก', 'あ', '👍', '🇩', '🏽'])
  .concat(['\u{1f3f4}', '\u{e0061}', '\u{e007f}', '\ud800']);

/** For a class without a member there. */
const everything = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code));

/** Parts of a pattern that stand for characters: classes, escapes, the dot, and characters themselves. */
function atomsOf(pattern: string): string[] {
  return (
    pattern.match(
      /\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[\da-f]{4}|\\x[\da-f]{2}|\\.|\[(?:\\.|[^\]\\])*\]|[^\\[\](){}^$*+?|]/giu,
    ) ?? []
  );
}

/** Runs of a member of each class, and of two members in turn; each alone, and with an end that does not match. */
export function worstTexts({ source, flags }: RegExp, longest: number): ((length: number) => string)[] {
  const members = new Set<string>();
  for (const atom of new Set(atomsOf(source))) {
    let one: RegExp;
    try {
      one = new RegExp(`^(?:${atom})$`, flags.replaceAll(/[gy]/g, ''));
    } catch {
      continue; // a reference, or a part of something else
    }
    const member =
      alphabet.find((character) => one.test(character)) ?? everything.find((character) => one.test(character));
    if (member !== undefined) members.add(member);
  }
  const parts = [...members].flatMap((one) => [
    one,
    ...[...members].filter((other) => other !== one).map((other) => one + other),
  ]);
  // the beginning of a match, once, and then a run of the rest
  const starts = ['', ...[...members].slice(0, 3)];
  const ends = ['', '\u0001', '"'];
  const most = longest > 1000 ? 400 : Infinity;
  return parts
    .flatMap((part) => starts.flatMap((start) => ends.map((end) => ({ part, start, end }))))
    .slice(0, most)
    .map(
      ({ part, start, end }) =>
        (length: number) =>
          start + part.repeat(Math.ceil(length / part.length)).slice(0, length) + end,
    );
}
