/** Twenty-five entries of the lock file had no checksum, so an installation took whatever the registry gave. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Locked {
  readonly integrity?: string;
  readonly resolved?: string;
}

const { packages } = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>;
};
const registry = 'https://registry.npmjs.org/';
/** The first entry is the project itself. */
const entries = Object.entries(packages).filter(([path]) => path !== '');

it('each package of the lock file has a SHA-512, and none comes from an address of its own', () => {
  expect(entries.length).toBeGreaterThan(100);
  const wrong = entries.filter(
    ([, { integrity = '', resolved = registry }]) => !integrity.startsWith('sha512-') || !resolved.startsWith(registry),
  );
  expect(wrong.map(([path]) => path)).toEqual([]);
});
