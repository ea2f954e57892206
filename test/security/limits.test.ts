/** The table of limits in SECURITY.md is what the code has. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { configKeys } from '../../src/config/keys/all.ts';
import { userLimits } from '../../src/config/user-limits.ts';
import { limits } from '../../src/protocol/limits.ts';

const text = readFileSync(fileURLToPath(new URL('../../SECURITY.md', import.meta.url)), 'utf8');
/** Limits of a user without a setting: they follow from those of a connection. */
const derived: Readonly<Record<string, string | number | readonly string[] | undefined>> = {
  ...userLimits(loadConfig({})),
};
const defaults = new Map<string, string>(
  Object.entries(configKeys).map(([name, key]) => [
    key.env,
    'default' in key ? key.default : [derived[name] ?? '(unset)'].flat().join(),
  ]),
);
const rows = [...text.matchAll(/^\| (\w+) +\| (.+?) +\| +(\S*) *\| `(\w+)` *\|$/gm)].map(
  ([, who, what, limit, name]) => ({
    who,
    what,
    limit,
    name: name ?? '',
  }),
);

it('the table is found', () => {
  expect(rows.length).toBeGreaterThan(30);
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
});

it.each(rows)('$who: $what', ({ name, limit }) => {
  const value = name.startsWith('PARLEY_') ? defaults.get(name) : String(limits[name as keyof typeof limits]);
  expect(limit).toBe(value);
});

it('every setting of a rate, or of what a user, an address or a connection may take, has its row', () => {
  const wanted = [...defaults.keys()].filter((env) =>
    /_PER_(SECOND|MINUTE|USER|ADDRESS)|_BURST|PENDING|REFUSED/.test(env),
  );
  expect(wanted.filter((env) => !rows.some(({ name }) => name === env))).toEqual([]);
});

it('the settings that the text names are there', () => {
  for (const [name] of text.matchAll(/PARLEY_[A-Z_]+/g)) expect([name, defaults.has(name)]).toEqual([name, true]);
});
