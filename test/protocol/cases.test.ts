import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { protocolCases } from '../../src/protocol/cases.ts';

it('has every area of the table of cases covered by one test file', () => {
  const texts = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(`${import.meta.dirname}/${name}`, 'utf8'));
  const covered = texts.flatMap((text) => [...text.matchAll(/^cover(?:For)?\('([^']+)'/gm)].map(([, area]) => area));
  expect(new Set(covered)).toEqual(new Set(Object.keys(protocolCases)));
  expect(covered).toHaveLength(Object.keys(protocolCases).length);
});
