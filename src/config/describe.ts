/** Settings as operators see them: the values in force, masked secrets, and suggestions for a wrong name. */
import type { Config } from './config.ts';
import { configKeys } from './keys/all.ts';
import type { Key } from './keys/key.ts';

/** The effective values as an operator may see them: secrets are named but not shown. */
export function describeConfig(config: Config): { env: string; value: string; about: string }[] {
  return (Object.entries(configKeys) as [keyof typeof configKeys, Key<unknown>][]).map(([name, entry]) => {
    const value: string | number | boolean | readonly (string | number)[] | undefined = config[name];
    const shown = value === undefined ? '(unset)' : entry.secret ? '(set)' : masked(String(value));
    return { env: entry.env, value: shown, about: entry.about };
  });
}

/** A URL may hold a user and a password; neither is shown. */
export function masked(value: string): string {
  return value.replaceAll(/(\w:\/\/)[^/@\s]*@/g, '$1(hidden)@');
}

/** @returns the end of a sentence: the known name that is most like this one; empty when no name is near. */
export function suggestion(name: string, known: Set<string>): string {
  if (known.has(name.slice('PARLEY_'.length))) return `; did you mean ${name.slice('PARLEY_'.length)}?`;
  const near = [...known].map((other) => ({ other, d: distance(name, other) })).sort((a, b) => a.d - b.d)[0];
  return near !== undefined && near.d <= 3 ? `; did you mean ${near.other}?` : '';
}

/** Levenshtein distance, for names of a few dozen letters. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
