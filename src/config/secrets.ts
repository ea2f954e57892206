import { readFileSync } from 'node:fs';
import { errorCode } from '../startup-error.ts';

/** Reads a secret from the file that `<key>_FILE` names. Such a secret is in no environment, and in no description of a container. */
export function secretOf(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
  problems: string[],
): string | undefined {
  const [given, path] = [env[name], env[`${name}_FILE`]];
  if (path === undefined || path === '') return given;
  if (given !== undefined && given !== '') {
    problems.push(`${name}_FILE=${path}: expected one of ${name} and ${name}_FILE, not both`);
    return undefined;
  }
  try {
    const text = readFileSync(path, 'utf8');
    if (text.trim() === '') problems.push(`${name}_FILE=${path}: expected a value, but the file is empty`);
    return text;
  } catch (error) {
    problems.push(`${name}_FILE=${path}: expected a file that can be read: ${errorCode(error)}`);
    return undefined;
  }
}
