/** The scopes of the page are those of the code. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { scopeMeanings } from '../../../src/protocol/scopes.ts';

it('docs/backends.md has each scope with its meaning, and no other', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/backends.md', import.meta.url)), 'utf8');
  const table = page.slice(page.indexOf('| scope '), page.indexOf('- **`admin`.**'));
  const rows = Array.from(table.matchAll(/^\| `([^`]+)` +\| (.+?) +\|$/gm), ([, name, meaning]) => [name, meaning]);
  expect(rows).toEqual(Object.entries(scopeMeanings));
});
