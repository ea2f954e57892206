/** The readers of comments, titles and names: the texts that they find, with their lines. */
import { expect, it } from 'vitest';
import { commentsOf } from './comments.ts';
import { privateNames } from './names.ts';
import { titlesOf } from './titles.ts';

it('finds comments of scripts, joins lines, and leaves out diagrams, commands and types', () => {
  const source = [
    '/**',
    ' * node --import tsx a.ts',
    ' * A node.',
    ' * idle ── start ──▶ running',
    ' * @param {string} name of the user',
    ' */',
    "const text = '// no comment';",
    'first(); // beside code',
    '// One sentence',
    '// in two lines.',
  ].join('\n');
  expect(commentsOf('a.ts', source)).toEqual([
    { line: 1, text: '\n\nA node.\n\n- `name` of the user\n' },
    { line: 8, text: 'beside code' },
    { line: 9, text: 'One sentence\nin two lines.' },
  ]);
});

it.each([
  ['a.sh', '#!/bin/sh\n# A node.\ntrue # beside', ['A node.', 'beside']],
  ['a.sql', "select '-- none'; -- A node.", ['A node.']],
  ['a.c', '/* A node. */ int a;', [' A node.']],
])('finds comments of %s', (path, source, texts) => {
  expect(commentsOf(path, source).map(({ text }) => text)).toEqual(texts);
});

it('finds titles of each form, and private words in names', () => {
  const source =
    "describe('a', () => {\n  it.each([1])('b %s', () => {});\n  it.skipIf(true)(`c ${1}`, () => {});\n});";
  expect(titlesOf(source)).toEqual([
    { line: 1, text: 'a' },
    { line: 2, text: 'b `x`' },
    { line: 3, text: 'c `x`' },
  ]);
  expect(privateNames('a.ts', "const bodiesHeard = askedFor; const detail = 'told';")).toEqual([
    'bodiesHeard',
    'askedFor',
  ]);
});
